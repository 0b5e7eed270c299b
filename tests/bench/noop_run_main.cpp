// Jobs that do nothing, through the real supervisor, mpirun, coordinator, journal and agents: what a job costs us.
//   guda-noop-run RUN_DIR JOBS WORKERS      plans, runs, prints one line of JSON
//   guda-noop-run serve ...                 a worker that answers every lease with Done, under the name guda-worker
// ./run bench coordinator puts it beside copies of guda-coordinator and guda-agent, as guda-noop-run and as
// guda-worker.
#include <fmt/format.h>
#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/frame.hpp"
#include "common/protocol.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_status.hpp"
#include "orchestrator/supervisor.hpp"

namespace {

constexpr int kSocket = 3;

int serve() {
  guda::FrameReader reader;
  if (!guda::write_frame(kSocket, guda::encode(guda::message::Ready{}))) return 0;
  while (true) {
    pollfd entry{kSocket, POLLIN, 0};
    ::poll(&entry, 1, -1);
    const bool open = reader.fill(kSocket);
    while (const auto frame = reader.next()) {
      const guda::Message message = guda::decode(*frame);
      const auto* assign = std::get_if<guda::message::Assign>(&message);
      if (assign == nullptr) continue;
      guda::message::Done done;
      done.lease = assign->lease;
      done.seconds = 1e-6;
      if (!guda::write_frame(kSocket, guda::encode(done))) return 0;
    }
    if (!open) return 0;
  }
}

guda::jobs::Plan plan_of(std::uint32_t jobs) {
  guda::jobs::Plan plan;
  plan.experiment.name = "noop";
  plan.experiment.retention.keep = "all";
  plan.dataset = guda::digest_of("none");
  plan.numerics = {"cpu", "none", "float32", 1};
  plan.groups = {"0"};
  plan.group_removals = {guda::digest_of("group")};
  plan.removal_sets[plan.group_removals.front()] = {"group 0", {0}};
  plan.queries = {{"none/s0/0000", "none", 0, ""}};
  plan.blocks = {{0, 1}};
  plan.slots = {{10, 0, 1.0}, {10, 1, 1.0}};
  for (std::uint32_t i = 0; i < jobs; ++i) {
    guda::jobs::SampleSpec spec;
    spec.seed = i;
    plan.jobs.push_back(
        {guda::digest_of("noop " + std::to_string(i)), "noop " + std::to_string(i), spec, {}, 1e-3, {}});
  }
  plan.digest = guda::digest_of("noop plan " + std::to_string(jobs));
  return plan;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace guda::orchestrator;
  if (argc > 1 && std::strcmp(argv[1], "serve") == 0) return serve();
  if (argc != 4) {
    std::fprintf(stderr, "usage: guda-noop-run RUN_DIR JOBS WORKERS\n");
    return 2;
  }
  try {
    const RunLayout run{std::filesystem::absolute(argv[1])};
    make_run_folders(run);
    RunLock lock(run.lock());
    install_plan(run, {plan_of(static_cast<std::uint32_t>(std::atoi(argv[2]))), ""}, false);
    SupervisorConfig config;
    guda::cluster::LaunchRequest request;
    request.workers = static_cast<std::uint32_t>(std::atoi(argv[3]));
    config.launch = guda::cluster::plan_launch(guda::cluster::this_machine(), request);
    std::FILE* quiet = std::fopen("/dev/null", "w");
    Progress progress(quiet);
    const int code = supervise(run, lock, config, progress);
    const auto status = read_status(run.status());
    fmt::print("{}\n", guda::Json{{"exit_code", code}, {"jobs", status->done}, {"seconds", status->elapsed}}.dump());
    return code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "guda-noop-run: %s\n", e.what());
    return 1;
  }
}
