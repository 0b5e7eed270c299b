#include "orchestrator/calibrate.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "cluster/agent/worker_process.hpp"
#include "common/clock.hpp"
#include "common/files.hpp"
#include "jobs/cost.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/prepare_run.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

/// The first job of every cost class that is counted in FLOPs, in plan order: inputs come first.
std::vector<std::uint32_t> one_of_each(const jobs::Plan& plan) {
  std::vector<std::uint32_t> chosen;
  std::set<std::string> seen;
  for (std::uint32_t i = 0; i < plan.jobs.size(); ++i) {
    const jobs::JobSpec& job = plan.jobs[i];
    if (jobs::job_flops(job) > 0 && seen.insert(jobs::cost_class(job.work)).second) chosen.push_back(i);
  }
  return chosen;
}

/// The same job `factor` times as large; its name is its own, its inputs are those of the small one.
jobs::JobSpec enlarged(const jobs::JobSpec& job, double factor) {
  jobs::JobSpec large = job;
  double times = 1;
  const auto scale = [&](std::uint32_t& count, double most) {
    const double wanted = std::clamp(std::round(count * factor), count + 1.0, std::max(count + 1.0, most));
    times = wanted / count;
    count = static_cast<std::uint32_t>(wanted);
  };
  std::visit(
      [&](auto& work) {
        using T = std::decay_t<decltype(work)>;
        if constexpr (std::is_same_v<T, jobs::TrainSpec>) scale(work.training.steps, 1e6);
        if constexpr (std::is_same_v<T, jobs::UnlearnSpec>) scale(work.unlearn.steps, 1e6);
        if constexpr (std::is_same_v<T, jobs::SampleSpec>) scale(work.set.sampler.steps, work.diffusion.timesteps);
        if constexpr (std::is_same_v<T, jobs::ScoreSpec>) {
          const std::vector<jobs::Slot> slots = work.slots;
          auto copies = static_cast<std::uint32_t>(1);
          scale(copies, 4096);
          for (std::uint32_t c = 1; c < copies; ++c) work.slots.insert(work.slots.end(), slots.begin(), slots.end());
        }
      },
      large.work);
  large.cost *= times;
  large.digest = digest_of(job.digest.hex + "/enlarged/" + std::to_string(times));
  large.placements.clear();
  return large;
}

/// A worker and the job that it is at.
struct Bench {
  std::unique_ptr<cluster::WorkerProcess> worker;
  RunLayout run;
  fs::path log;
  bool ready = false;
};

class Calibrator {
 public:
  explicit Calibrator(const CalibrationRequest& request)
      : request_(request), give_up_(steady_seconds() + request.patience) {}

  jobs::ModelCalibration run() {
    const jobs::Experiment trial = trial_of(request_.experiment);
    jobs::Plan plan = jobs::make_plan(trial, jobs::load_dataset(trial.dataset), jobs::numerics_of(trial));
    const auto small = one_of_each(plan);
    start(plan, "small");
    std::vector<double> factors;
    for (const std::uint32_t job : small) {
      static_cast<void>(seconds_of(job));  // libraries choose kernels and memory grows on the first one
      const auto seconds = seconds_of(job);
      factors.push_back(std::clamp(request_.seconds / std::max(1e-3, *std::max_element(seconds.begin(), seconds.end())),
                                   2.0, 2000.0));
    }
    std::vector<std::uint32_t> large;
    for (std::size_t i = 0; i < small.size(); ++i) {
      large.push_back(static_cast<std::uint32_t>(plan.jobs.size()));
      plan.jobs.push_back(enlarged(plan.jobs[small[i]], factors[i]));
    }
    start(plan, "large");
    jobs::ModelCalibration result;
    result.macs = jobs::unet2d_macs(trial.model);
    for (std::size_t i = 0; i < small.size(); ++i) {
      const jobs::JobSpec& job = plan.jobs[small[i]];
      static_cast<void>(seconds_of(small[i]));
      const auto few = seconds_of(small[i]), many = seconds_of(large[i]);
      std::vector<jobs::Rate> rates;
      for (std::size_t w = 0; w < few.size(); ++w) {
        rates.push_back(rate_from(jobs::job_flops(job), few[w], jobs::job_flops(plan.jobs[large[i]]), many[w]));
      }
      jobs::Rate mean;
      double slowest = rates.front().flops, fastest = rates.front().flops, inverse = 0;
      for (const jobs::Rate& r : rates) {
        mean.fixed += r.fixed / double(rates.size());
        inverse += 1 / r.flops / double(rates.size());
        slowest = std::min(slowest, r.flops);
        fastest = std::max(fastest, r.flops);
      }
      mean.flops = 1 / inverse;
      mean.spread = (fastest - slowest) / mean.flops;
      const std::string name = jobs::cost_class(job.work);
      result.classes[name] = mean;
      if (request_.note)
        request_.note(fmt::format("{:<28} {:8.2f} GFLOP/s, {:.3f} s a job", name, mean.flops / 1e9, mean.fixed));
    }
    return result;
  }

 private:
  void start(const jobs::Plan& plan, const std::string& phase) {
    benches_.clear();
    digests_.clear();
    for (const jobs::JobSpec& job : plan.jobs) digests_.push_back(job.digest.hex);
    for (std::uint32_t w = 0; w < request_.workers; ++w) {
      const RunLayout run{request_.scratch / fmt::format("{}-{}", phase, w)};
      make_run_folders(run);
      replace_file(run.plan(), jobs::to_json(plan).dump(), false);
      cluster::WorkerCommand command;
      command.program = request_.worker;
      command.run_folder = run.folder;
      command.segment = "0001-1.seg";
      command.threads = plan.numerics.threads;
      command.log = run.logs() / "worker.log";
      benches_.push_back({std::make_unique<cluster::WorkerProcess>(command), run, command.log, false});
    }
    for (Bench& bench : benches_) {
      while (!bench.ready) {
        if (const auto message = next(bench)) bench.ready = std::holds_alternative<message::Ready>(*message);
      }
    }
  }

  /// All workers do this job at the same time; its seconds on each.
  std::vector<double> seconds_of(std::uint32_t job) {
    const Lease lease{job, ++attempt_};
    for (Bench& bench : benches_) {
      // A worker takes what an earlier attempt has published: then there would be nothing to measure.
      fs::remove_all(bench.run.artifacts() / digests_.at(job));
      fs::remove_all(bench.run.checkpoints(digests_.at(job)));
      if (!bench.worker->send(message::Assign{lease})) throw Error("guda-worker went away: " + last_words(bench));
    }
    std::vector<double> seconds;
    for (Bench& bench : benches_) {
      while (true) {
        const auto message = next(bench);
        if (!message) continue;
        if (const auto* failed = std::get_if<message::Failed>(&*message))
          throw Error("a measuring job failed: " + failed->text);
        if (const auto* done = std::get_if<message::Done>(&*message); done != nullptr && done->lease == lease) {
          seconds.push_back(done->seconds);
          break;
        }
      }
    }
    return seconds;
  }

  std::optional<Message> next(Bench& bench) {
    if (auto message = bench.worker->receive()) return message;
    if (const auto exit = bench.worker->exit_text()) throw Error("guda-worker " + *exit + ": " + last_words(bench));
    if (steady_seconds() > give_up_)
      throw Error(
          fmt::format("no measurement within {:.0f} s. Cure: a smaller model, or --seconds", request_.patience));
    pollfd entry{bench.worker->fd(), POLLIN, 0};
    ::poll(&entry, 1, 100);
    return std::nullopt;
  }

  static std::string last_words(const Bench& bench) {
    const std::string log = fs::exists(bench.log) ? read_file(bench.log) : "";
    return log.size() > 500 ? log.substr(log.size() - 500) : log;
  }

  const CalibrationRequest& request_;
  const double give_up_;
  std::vector<Bench> benches_;
  std::vector<std::string> digests_;  // of the plan's jobs
  std::uint32_t attempt_ = 0;
};

}  // namespace

jobs::ModelCalibration calibrate(const CalibrationRequest& request) { return Calibrator(request).run(); }

jobs::Experiment trial_of(const jobs::Experiment& experiment) {
  jobs::Experiment trial = experiment;
  trial.seeds = {experiment.seeds.front()};
  trial.resources.gang = 1;  // a worker's rate: what a gang adds is estimated (jobs/cost.hpp)
  trial.training.steps = std::min(experiment.training.steps, 4U);
  trial.training.warmup_steps = std::min(experiment.training.warmup_steps, 1U);
  trial.queries.clear();
  for (const jobs::QuerySetConfig& set : experiment.queries) {
    if (set.kind != "generated") continue;
    trial.queries = {set};
    trial.queries.front().sampler.steps = std::min(set.sampler.steps, 4U);
    break;
  }
  if (trial.queries.empty()) trial.queries = {experiment.queries.front()};
  // A job of one full batch of rows: what a block is made of.
  jobs::QuerySetConfig& set = trial.queries.front();
  set.count = std::min({set.count, set.sampler.batch, std::max(1U, experiment.scoring.batch)});
  const std::uint32_t slots = std::max(1U, experiment.scoring.batch / std::max(1U, set.count));
  const std::uint32_t range = experiment.scoring.last_timestep - experiment.scoring.first_timestep;
  trial.scoring.draws = 1;
  trial.scoring.allocation = "grid";
  trial.scoring.slots = 0;
  trial.scoring.until = "all";
  trial.scoring.antithetic = false;
  trial.scoring.pilot = {};
  trial.scoring.stride = std::max(1U, range / slots + 1);
  std::set<std::string> seen;
  trial.methods.clear();
  for (jobs::MethodConfig method : experiment.methods) {
    if (method.method != "guda" || !seen.insert(method.unlearn.op).second) continue;
    method.unlearn.steps = std::min(method.unlearn.steps, 4U);
    method.unlearn.warmup_steps = std::min(method.unlearn.warmup_steps, 1U);
    trial.methods.push_back(std::move(method));
  }
  return trial;
}

jobs::Rate rate_from(double small_flops, double small_seconds, double large_flops, double large_seconds) {
  jobs::Rate rate;
  // Where the small job is as slow as the large one (a hiccup) the difference says nothing: the large one alone counts.
  const double difference = large_seconds - small_seconds;
  const bool trust = difference > 0.2 * large_seconds && large_flops > small_flops;
  rate.flops = trust ? (large_flops - small_flops) / difference : large_flops / std::max(1e-6, large_seconds);
  rate.fixed = std::max(0.0, small_seconds - small_flops / rate.flops);
  return rate;
}

}  // namespace guda::orchestrator
