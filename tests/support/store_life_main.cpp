// One life of a run's store without workers, for tests that break the disk or kill the writer:
//   guda_store_life RUN [JOBS] [--pause MS] [--queries N]
// Makes RUN when it is not there, takes its lock, does up to JOBS open jobs, one commit each, and prints a line a
// commit. Exit: 0 nothing is left to do or JOBS are done, 75 the disk refused, 2 somebody else owns RUN.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>

#include "common/error.hpp"
#include "orchestrator/run_lock.hpp"
#include "tests/support/fake_run.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void live(const RunLayout& run, std::size_t most, int pause, std::uint32_t queries) {
  make_run_folders(run);
  RunLock lock(run.lock());
  if (!lock.note().empty()) std::printf("note %s\n", lock.note().c_str());
  if (!std::filesystem::exists(run.plan())) replace_file(run.plan(), jobs::to_json(test::small_plan(queries)).dump());
  probe_writable(run.journal(), 64 << 10);
  const jobs::Plan plan = load_plan(run);
  const std::uint32_t epoch = read_journal(run.journal()).last_epoch + 1;
  lock.set_epoch(epoch);
  RunStore store(run, plan, epoch);
  for (const std::string& note : store.take_notes()) std::printf("note %s\n", note.c_str());
  RowSegmentWriter segment(run.rows() / (std::to_string(epoch) + "-1.seg"));
  std::printf("open %ld\n", std::count(store.settled().begin(), store.settled().end(), false));
  std::fflush(stdout);
  std::vector<double> spent;
  for (std::size_t i = 0; i < plan.jobs.size() && most > 0; ++i) {
    if (store.settled()[i]) continue;
    if (!lock.renew()) throw Error("somebody else owns the run directory now");
    const jobs::JobSpec& job = plan.jobs[i];
    const JobIndex index(static_cast<std::uint32_t>(i));
    const RowsRef rows = test::fake_work(run, plan, job, segment);
    const double begin = seconds();
    store.add_lease(index, 1, "rank 1 (node/cpu1)", "node/cpu1");
    std::optional<RowRecord> record;
    if (rows.length > 0) record = read_row_record(run.rows(), rows);
    store.add(index, {job.digest, 1, "rank 1 (node/cpu1)", "node/cpu1", 0.5, rows, Json::object(), 0},
              std::move(record));
    static_cast<void>(store.sync());
    spent.push_back(seconds() - begin);
    std::printf("committed %s\n", job.digest.hex.c_str());
    std::fflush(stdout);
    --most;
    if (pause > 0) std::this_thread::sleep_for(std::chrono::milliseconds(pause));
  }
  store.end("test", 0);
  std::sort(spent.begin(), spent.end());
  if (!spent.empty()) {
    std::printf(
        "store: median %.0f us, slowest %.0f us a job (lease, rows read back, journal with fdatasync, results.h5)\n",
        1e6 * spent[spent.size() / 2], 1e6 * spent.back());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t most = 1'000'000;
  int pause = 0;
  std::uint32_t queries = 4;
  if (argc < 2) {
    std::fprintf(stderr, "usage: guda_store_life RUN [JOBS] [--pause MS] [--queries N]\n");
    return 2;
  }
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--pause") == 0 && i + 1 < argc) pause = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--queries") == 0 && i + 1 < argc)
      queries = static_cast<std::uint32_t>(std::atoi(argv[++i]));
    else most = std::strtoull(argv[i], nullptr, 10);
  }
  try {
    live(RunLayout{argv[1]}, most, pause, queries);
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.error_class() == ErrorClass::io ? 75 : 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "internal error: %s\n", e.what());
    return 1;
  }
}
