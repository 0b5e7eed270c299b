#include "worker/execute.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <chrono>
#include <limits>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/guide_model.hpp"
#include "worker/artifacts.hpp"
#include "worker/attribution/controls.hpp"
#include "worker/diffusion/query_set.hpp"
#include "worker/diffusion/sampling.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

namespace guda::worker {
namespace {

constexpr std::size_t kCachedModels = 4;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

const jobs::RemovalSet& removal_set(const Context& context, const Digest& digest) {
  const auto found = context.plan.removal_sets.find(digest);
  if (found == context.plan.removal_sets.end()) throw Bug("the plan has no removal set " + digest.hex);
  return found->second;
}

/// Consecutive Score jobs use the same weights; the cache outlives the jobs and belongs to the worker's one thread.
ModelCache& models() {
  static thread_local ModelCache cache(kCachedModels);
  return cache;
}

/// Runs one kind of work each.
class Executor {
 public:
  Executor(const jobs::JobSpec& job, Context& context)
      : job_(job), context_(context), device_(context.plan.numerics.device) {}

  JobResult operator()(const jobs::TrainSpec& spec) {
    if (auto done = published()) return *std::move(done);
    std::span<const std::uint32_t> removed;
    if (!spec.removal.empty()) removed = removal_set(context_, spec.removal).items;
    JobCheckpoints checkpoints = open_checkpoints();
    JobResult result;
    if (jobs::is_guide_model(spec.model)) {
      TrainedGuide trained = train_guide(spec, context_.dataset, device_, context_.progress, &checkpoints);
      result.metrics = {{"first_loss", trained.first_loss}, {"last_loss", trained.last_loss}};
      publish(result, [&](const auto& folder) { save_unet2d_condition(trained.model, spec.model, folder); });
    } else {
      Trained trained = train(spec, context_.dataset, removed, device_, context_.progress, &checkpoints);
      result.metrics = {{"first_loss", trained.first_loss}, {"last_loss", trained.last_loss}};
      publish(result, [&](const auto& folder) { save_unet2d(trained.model, spec.model, folder); });
    }
    close(checkpoints, result);
    return result;
  }

  JobResult operator()(const jobs::UnlearnSpec& spec) {
    if (auto done = published()) return *std::move(done);
    const std::filesystem::path from = artifact(spec.from);
    UNet2D model = load_unet2d(from);
    model->to(device_);
    UNet2D teacher{nullptr};
    if (needs_teacher(spec.unlearn)) teacher = models().get(from, device_);
    UNet2DCondition guide{nullptr};
    if (!spec.guide.empty()) {
      guide = load_unet2d_condition(artifact(spec.guide));
      guide->to(device_);
    }
    JobCheckpoints checkpoints = open_checkpoints();
    const Unlearned unlearned =
        unlearn(model, teacher, spec, context_.dataset, removal_set(context_, spec.removal).items,
                context_.plan.groups.size(), device_, context_.progress, &checkpoints, guide);
    JobResult result;
    result.metrics = {{"retain_loss", unlearned.retain_loss}, {"forget_loss", unlearned.forget_loss}};
    publish(result,
            [&](const auto& folder) { save_unet2d(model, Json::parse(read_file(from / "config.json")), folder); });
    close(checkpoints, result);
    return result;
  }

  JobResult operator()(const jobs::SampleSpec& spec) {
    UNet2D model{nullptr};
    if (!spec.from.empty()) model = models().get(artifact(spec.from), device_);
    const QuerySet set = make_query_set(model, spec, context_.dataset, device_, context_.progress);
    publish_directory(target(), [&](const std::filesystem::path& partial) { save_query_set(set, partial); });
    JobResult result;
    result.metrics = {{"queries", set.names.size()}};
    return result;
  }

  JobResult operator()(const jobs::ScoreSpec& spec) {
    const QuerySet set = load_query_set(artifact(spec.queries));
    if (std::uint64_t{spec.first} + spec.count > set.names.size()) {
      throw Bug("the block of job " + job_.label + " lies outside its query set");
    }
    UNet2D model = models().get(artifact(spec.weights), device_);
    JobResult result;
    result.rows.rows = spec.count;
    result.rows.columns = static_cast<std::uint32_t>(spec.slots.size());
    result.rows.losses = squared_errors(model, spec.diffusion, set.images.narrow(0, spec.first, spec.count),
                                        std::span(set.names).subspan(spec.first, spec.count), spec.slots, spec.batch,
                                        spec.noise_seed, device_, context_.progress);
    return result;
  }

  JobResult operator()(const jobs::AttributeSpec& spec) {
    const QuerySet set = load_query_set(artifact(spec.queries));
    std::vector<jobs::RemovalSet> groups;
    for (const Digest& group : spec.groups) groups.push_back(removal_set(context_, group));
    JobResult result;
    result.rows.rows = static_cast<std::uint32_t>(set.names.size());
    result.rows.columns = static_cast<std::uint32_t>(groups.size());
    result.rows.scores = control_scores(spec, set.images, set.names, context_.dataset, groups, [this] {
      context_.progress({0, 1, std::numeric_limits<double>::quiet_NaN()});
    });
    return result;
  }

 private:
  [[nodiscard]] std::filesystem::path artifact(const Digest& digest) const {
    return find_artifact(context_.artifact_folders, digest);
  }

  [[nodiscard]] std::filesystem::path target() const { return context_.artifact_folders.at(0) / job_.digest.hex; }

  [[nodiscard]] std::filesystem::path checkpoint_folder() const { return target().string() + ".checkpoints"; }

  [[nodiscard]] JobCheckpoints open_checkpoints() const {
    const auto log = [this](const std::string& line) {
      if (context_.log) context_.log(job_.label + ": " + line);
    };
    return JobCheckpoints({checkpoint_folder(), job_.digest, context_.checkpoints, context_.worker, now, log});
  }

  /// How the work was done is for the journal; the artifact must not depend on it.
  static void close(JobCheckpoints& checkpoints, JobResult& result) {
    checkpoints.remove();
    result.earlier_seconds = checkpoints.earlier_seconds();
    if (checkpoints.resumed_from() > 0) result.metrics["resumed_from_step"] = checkpoints.resumed_from();
    if (checkpoints.saved() > 0) {
      result.metrics["checkpoints"] = checkpoints.saved();
      result.metrics["checkpoint_seconds"] = checkpoints.saving_seconds();
    }
  }

  /// The result of an attempt that published its artifact and died before anybody heard of it.
  [[nodiscard]] std::optional<JobResult> published() const {
    if (!std::filesystem::is_directory(target())) return std::nullopt;
    const Json provenance = Json::parse(read_file(target() / "guda.json"), nullptr, /*allow_exceptions=*/false);
    if (!provenance.is_object() || provenance.value("job", "") != job_.digest.hex || !provenance.contains("metrics")) {
      throw Error((target() / "guda.json").string() +
                  " is damaged. Cure: remove the folder; the job will be done again");
    }
    std::error_code ignored;
    std::filesystem::remove_all(checkpoint_folder(), ignored);
    JobResult result;
    result.metrics = provenance["metrics"];
    result.metrics["already_published"] = true;
    return result;
  }

  void publish(const JobResult& result, const std::function<void(const std::filesystem::path&)>& save) {
    const Json provenance{{"schema", 1},
                          {"job", job_.digest.hex},
                          {"kind", jobs::kind_of(job_.work)},
                          {"label", job_.label},
                          {"dataset", context_.dataset.content.hex},
                          {"metrics", result.metrics}};
    publish_weights(context_.artifact_folders, job_.digest, save, provenance);
  }

  const jobs::JobSpec& job_;
  Context& context_;
  torch::Device device_;
};

}  // namespace

JobResult execute(const jobs::JobSpec& job, Context& context) {
  if (context.artifact_folders.empty()) throw Bug("a worker was given no artifact folder");
  at::set_num_threads(static_cast<int>(context.plan.numerics.threads));
  const double begin = now();
  JobResult result = std::visit(Executor(job, context), job.work);
  result.metrics["seconds"] = result.earlier_seconds + now() - begin;
  return result;
}

}  // namespace guda::worker
