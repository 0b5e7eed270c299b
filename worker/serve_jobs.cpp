#include "worker/serve_jobs.hpp"

#include <ATen/Parallel.h>
#include <poll.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <utility>

#include "common/chaos.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/frame.hpp"
#include "common/full_disk.hpp"
#include "common/node_cache.hpp"
#include "common/protocol.hpp"
#include "common/row_segment.hpp"
#include "jobs/plan.hpp"
#include "worker/collective/gang.hpp"
#include "worker/device/device.hpp"
#include "worker/device/device_health.hpp"
#include "worker/execute.hpp"
#include "worker/failure.hpp"
#include "worker/keep_memory.hpp"
#include "worker/model_store.hpp"

namespace guda::worker {
namespace {

class Server {
 public:
  explicit Server(const ServeConfig& config)
      : fd_(config.fd),
        chaos_(parse_chaos(config.chaos)),
        plan_(jobs::plan_from_json(Json::parse(read_file(config.run_folder / "plan.json")))),
        dataset_(jobs::load_dataset(plan_.experiment.dataset)),
        segment_(config.run_folder / "rows" / config.segment),
        device_(open_device(plan_.numerics)),
        cache_(node_cache_place(plan_.experiment.resources.node_cache, plan_.experiment.resources.node_cache_gb,
                                config.run_folder),
               log),
        models_(model_budget(device_, plan_.experiment.resources.model_memory_gb,
                             device_.is_cpu() ? config.neighbours : plan_.experiment.resources.workers_per_device)),
        context_{plan_, dataset_, artifact_folders(config.run_folder), {}, config.checkpoints, config.name, log, {}} {
    check_device(device_);
    if (const std::string errors = memory_errors_of(device_); !errors.empty()) log(errors);
    context_.cache = &cache_;
    context_.models = &models_;
    if (dataset_.content != plan_.dataset) {
      throw Error(
          "the data set has changed since the run was planned (its content digest differs). Cure: restore it, or start "
          "a new run directory.");
    }
    context_.progress = [this](const Progress& p) { progress(p); };
  }

  int run() {
    say(message::Ready{});
    while (true) {
      wait();
      while (const auto frame = reader_.next()) {
        const Message message = decode(*frame);
        if (const auto* assign = std::get_if<message::Assign>(&message)) work(*assign);
      }
      if (gone_) return 0;
    }
  }

 private:
  static void log(const std::string& line) { std::fprintf(stderr, "guda-worker: %s\n", line.c_str()); }

  static std::vector<std::filesystem::path> artifact_folders(const std::filesystem::path& run) {
    std::vector<std::filesystem::path> folders{run / "artifacts"};
    if (std::filesystem::exists(run / "reuse.json")) {
      for (const auto& folder : Json::parse(read_file(run / "reuse.json")))
        folders.emplace_back(folder.get<std::string>());
    }
    return folders;
  }

  void wait() {
    pollfd entry{fd_, POLLIN, 0};
    ::poll(&entry, 1, -1);
    gone_ = !reader_.fill(fd_);
  }

  void say(const Message& message) {
    if (!write_frame(fd_, encode(message))) gone_ = true;
  }

  void progress(const Progress& p) {
    const double t = steady_seconds();
    if (t - last_beat_ >= kBeatEvery) {
      last_beat_ = t;
      say(message::Beat{true, lease_, p.step, p.steps, p.loss, p.checkpoint_in});
    }
    // A request to hand the job back may wait in the socket; looking costs a system call of a microsecond.
    gone_ = !reader_.fill(fd_) || gone_;
    while (const auto frame = reader_.next()) {
      const Message message = decode(*frame);
      if (const auto* cancel = std::get_if<message::Cancel>(&message); cancel && cancel->lease == lease_)
        throw Cancelled{};
    }
    if (gone_) throw Cancelled{};
  }

  void work(const message::Assign& assign) {
    const Lease& lease = lease_ = assign.lease;
    context_.seat = assign.seat;
    context_.next = assign.next && *assign.next < plan_.jobs.size() ? assign.next : std::nullopt;
    last_beat_ = 0;
    const double start = steady_seconds();
    try {
      const jobs::JobSpec& job = plan_.jobs.at(lease.job);
      std::optional<FullDisk> full;
      const auto injection = injection_for(chaos_, job.label, lease.attempt, context_.worker);
      if (injection && injection->fault == Fault::disk) full.emplace();
      const JobResult result = execute(job, context_);
      RowsRef rows;
      if (!result.rows.losses.empty())
        rows = segment_.append(job.digest, result.rows.rows, result.rows.columns, result.rows.losses);
      if (!result.rows.scores.empty())
        rows = segment_.append(job.digest, result.rows.rows, result.rows.columns, result.rows.scores);
      say(message::Done{lease, result.earlier_seconds + steady_seconds() - start, rows, result.metrics});
    } catch (const Cancelled&) {
      say(message::Returned{lease});
    } catch (const GangBroken& broken) {  // the culprit is reported by its own agent
      context_.log("the gang is broken: " + broken.why);
      say(message::Returned{lease});
    } catch (...) {
      Failure failure = describe_failure(std::current_exception());
      if (failure.error == ErrorClass::out_of_memory) models_.clear();
      say(message::Failed{lease, failure.error, std::move(failure.text)});
    }
  }

  static constexpr double kBeatEvery = 0.2;

  int fd_;
  const ChaosSpec chaos_;
  bool gone_ = false;
  FrameReader reader_;
  const jobs::Plan plan_;
  const jobs::Dataset dataset_;
  RowSegmentWriter segment_;
  const torch::Device device_;
  NodeCache cache_;
  ModelStore models_;  // before the cache that it reads through
  Context context_;
  Lease lease_;
  double last_beat_ = 0;
};

}  // namespace

int serve_jobs(const ServeConfig& config) {
  keep_freed_memory();
  at::set_num_threads(config.threads);
  at::set_num_interop_threads(1);
  return Server(config).run();
}

}  // namespace guda::worker
