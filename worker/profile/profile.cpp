#include "worker/profile/profile.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <optional>
#include <utility>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/planner.hpp"
#include "worker/execute.hpp"
#include "worker/keep_memory.hpp"
#include "worker/profile/recorder.hpp"
#include "worker/profile/tensor_memory.hpp"
#include "worker/profile/trace.hpp"

namespace guda::worker {
namespace {

constexpr std::uint32_t kWarmUp = 2;
constexpr std::size_t kShown = 10;

/// A folder that goes with its owner.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "guda-profile-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error(name + ": cannot be made; TMPDIR names another place");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

bool profilable(const jobs::Work& work) {
  if (const auto* train = std::get_if<jobs::TrainSpec>(&work)) return train->top.empty();
  if (const auto* unlearn = std::get_if<jobs::UnlearnSpec>(&work)) return jobs::step_rows(unlearn->unlearn) > 0;
  return true;
}

const jobs::JobSpec& first_job(const jobs::Plan& plan, const std::string& kind) {
  const auto found = std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const jobs::JobSpec& job) {
    return kind == jobs::kind_of(job.work) && profilable(job.work);
  });
  if (found == plan.jobs.end()) throw Error("the experiment has no job of kind '" + kind + "' that runs in steps");
  return *found;
}

/// The job with `steps` steps; of a gang's it does alone what one worker would.
void set_steps(jobs::Work& work, std::uint32_t steps) {
  if (auto* train = std::get_if<jobs::TrainSpec>(&work)) {
    train->training.steps = steps;
    train->gang = 0;
  } else if (auto* unlearn = std::get_if<jobs::UnlearnSpec>(&work)) {
    unlearn->unlearn.steps = steps;
  } else if (auto* score = std::get_if<jobs::ScoreSpec>(&work)) {
    const std::uint64_t rows = std::uint64_t{steps} * score->batch, slots = score->slots.size();
    const auto queries = static_cast<std::uint32_t>((rows + slots - 1) / slots);
    if (queries > score->count) {
      throw Error(fmt::format("{} batches of {} rows want {} queries, the first block has {}; --steps {} at most",
                              steps, score->batch, queries, score->count,
                              (score->count * slots / score->batch - kWarmUp) / 2));
    }
    score->first = 0;
    score->count = queries;
    if (queries == 1) score->slots.resize(rows);
  }
}

/// As little of a job as leaves an artifact that `reader` can work with.
jobs::Work cut_down(jobs::Work work, const jobs::Work& reader) {
  set_steps(work, 1);
  if (auto* train = std::get_if<jobs::TrainSpec>(&work)) {
    train->training.batch = 1;
    train->micro_batch = 0;
  } else if (auto* unlearn = std::get_if<jobs::UnlearnSpec>(&work)) {
    unlearn->unlearn.retain_batch = unlearn->unlearn.forget_batch = 1;
    unlearn->micro_batch = 0;
  } else if (auto* sample = std::get_if<jobs::SampleSpec>(&work)) {
    sample->set.sampler.kind = "ddim";  // two steps would do for all, but not every sampler can
    sample->set.sampler.steps = 2;
    if (const auto* score = std::get_if<jobs::ScoreSpec>(&reader)) {
      sample->names.resize(std::min<std::size_t>(sample->names.size(), score->count));
      if (!sample->set.images.empty()) sample->set.images.resize(sample->names.size());
      if (!sample->prompts.empty()) sample->prompts.resize(sample->names.size());
      sample->set.sampler.batch = std::min<std::uint32_t>(sample->set.sampler.batch, score->count);
    }
  }
  return work;
}

/// Takes the time at the ends of steps, and records the last ones.
class Watch {
 public:
  explicit Watch(std::uint32_t steps) : steps_(steps) {}

  void finished(std::uint64_t step) {
    if (step == kWarmUp) plain_begin_ = process_cpu_seconds();
    if (step == kWarmUp + steps_) {
      plain_end_ = process_cpu_seconds();
      memory_.emplace();
      recorder_.emplace();
      last_ = {0, process_cpu_seconds()};
      recorded_begin_ = last_.processor;
    } else if (recorder_) {
      const Moment now{recorder_->now(), process_cpu_seconds()};
      steps_seen_.push_back({"step", 0, last_.wall, now.wall - last_.wall, now.processor - last_.processor});
      last_ = now;
      if (steps_seen_.size() == steps_) {
        spans_ = recorder_->stop();
        overhead_ = recorder_->overhead();
        recorder_.reset();
        peak_ = memory_->peak();
        memory_.reset();
      }
    }
  }

  [[nodiscard]] Profile profile() && {
    if (steps_seen_.size() != steps_) throw Bug("the job ended before its steps were recorded");
    Profile result;
    result.steps = steps_;
    result.plain_step = (plain_end_ - plain_begin_) / steps_;
    const double recording = (overhead_.within + overhead_.around) * static_cast<double>(spans_.size());
    result.recorded_step = (last_.processor - recorded_begin_ - recording) / steps_;
    result.peak_bytes = peak_;
    result.costs = costs_of(spans_, overhead_);
    result.spans = std::move(steps_seen_);
    std::move(spans_.begin(), spans_.end(), std::back_inserter(result.spans));
    return result;
  }

 private:
  struct Moment {
    double wall = 0, processor = 0;
  };
  std::uint32_t steps_;
  double plain_begin_ = 0, plain_end_ = 0, recorded_begin_ = 0;
  Moment last_;
  std::optional<TensorMemory> memory_;
  std::int64_t peak_ = 0;
  std::optional<SpanRecorder> recorder_;
  std::vector<Span> spans_, steps_seen_;
  SpanOverhead overhead_;
};

}  // namespace

Profile profile_job(const jobs::Experiment& experiment, const ProfileRequest& request) {
  if (request.work != "train" && request.work != "unlearn" && request.work != "score")
    throw Error("--work: '" + request.work + "' is not train, unlearn or score");
  if (request.steps == 0) throw Error("--steps: must be at least 1");
  const jobs::Dataset dataset = jobs::load_dataset(experiment.dataset);
  const jobs::Plan plan = jobs::make_plan(experiment, dataset, jobs::numerics_of(experiment));
  jobs::JobSpec job = first_job(plan, request.work);
  set_steps(job.work, kWarmUp + 2 * request.steps);

  const Folder folder;
  Watch watch(request.steps);
  bool watching = false;
  CheckpointRule no_checkpoints;
  no_checkpoints.every = 1e9;
  Context context{plan,
                  dataset,
                  {folder.path()},
                  [&](const Progress& p) {
                    if (watching) watch.finished(p.step);
                  },
                  no_checkpoints,
                  "profile",
                  {}};
  // Inputs precede users in the plan: whatever the job reads, directly or not.
  std::vector<Digest> wanted = job.inputs;
  std::vector<const jobs::JobSpec*> before;
  for (auto spec = plan.jobs.rbegin(); spec != plan.jobs.rend(); ++spec) {
    if (std::find(wanted.begin(), wanted.end(), spec->digest) == wanted.end()) continue;
    before.push_back(&*spec);
    wanted.insert(wanted.end(), spec->inputs.begin(), spec->inputs.end());
  }
  for (auto spec = before.rbegin(); spec != before.rend(); ++spec) {
    jobs::JobSpec small = **spec;
    small.work = cut_down(small.work, job.work);
    (void)execute(small, context);
  }
  watching = true;
  (void)execute(job, context);
  Profile profile = std::move(watch).profile();
  profile.label = job.label;
  return profile;
}

std::string report(const Profile& p) {
  return fmt::format(
             "{}: {:.2f} ms of processor time a step, {:.2f} ms while recorded but for the recording (means of {}); at "
             "most {:.1f} MB of "
             "tensors "
             "beside what the job holds between steps\n",
             p.label, 1e3 * p.plain_step, 1e3 * p.recorded_step, p.steps, 1e-6 * static_cast<double>(p.peak_bytes)) +
         cost_table(p.costs, kShown, p.steps, p.recorded_step * static_cast<double>(p.steps));
}

Json to_json(const Profile& p) {
  Json costs = Json::array();
  std::vector<Cost> rows = p.costs;
  rows.push_back(uncovered(p.costs, p.recorded_step * static_cast<double>(p.steps)));
  for (const Cost& cost : rows) {
    costs.push_back(
        {{"name", cost.name}, {"calls", cost.calls}, {"own_seconds", cost.own}, {"total_seconds", cost.total}});
  }
  return {{"schema", 1},
          {"job", p.label},
          {"steps", p.steps},
          {"processor_seconds_per_step", p.plain_step},
          {"processor_seconds_per_recorded_step", p.recorded_step},
          {"peak_bytes", p.peak_bytes},
          {"costs", std::move(costs)}};
}

int profile_command(const std::vector<std::string>& arguments) {
  ProfileRequest request;
  std::filesystem::path experiment, output;
  std::vector<std::string> settings;
  bool json = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--json") {
      json = true;
    } else if (!word.starts_with("--")) {
      if (!experiment.empty()) throw Error("--profile takes one experiment; " + word + " is a second one");
      experiment = word;
    } else {
      if (i + 1 == arguments.size()) throw Error(word + ": its value is missing");
      const std::string& value = arguments[++i];
      if (word == "--steps") {
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), request.steps);
        if (error != std::errc{} || end != value.data() + value.size())
          throw Error("--steps: '" + value + "' is no number");
      } else if (word == "--work") {
        request.work = value;
      } else if (word == "--output") {
        output = value;
      } else if (word == "--set") {
        settings.push_back(value);
      } else {
        throw Error("--profile has no option " + word);
      }
    }
  }
  if (experiment.empty()) throw Error("--profile: which experiment? A YAML file, as guda run takes it");
  keep_freed_memory();
  at::set_num_interop_threads(1);
  const Profile profile = profile_job(jobs::load_experiment(experiment, settings), request);
  if (!output.empty()) replace_file(output, chrome_trace(profile.spans, profile.label), /*durable=*/false);
  std::fputs((json ? to_json(profile).dump(1) + "\n" : report(profile)).c_str(), stdout);
  if (!json && !output.empty())
    std::printf("%s: %zu spans; open it in ui.perfetto.dev or chrome://tracing\n", output.c_str(),
                profile.spans.size());
  return 0;
}

}  // namespace guda::worker
