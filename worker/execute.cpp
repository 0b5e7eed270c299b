#include "worker/execute.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/autoencoder_model.hpp"
#include "jobs/kept_instances.hpp"
#include "worker/artifacts.hpp"
#include "worker/attribution/attribute.hpp"
#include "worker/attribution/gradient_features.hpp"
#include "worker/attribution/mirror.hpp"
#include "worker/collective/gpu_gang.hpp"
#include "worker/collective/shared_memory_gang.hpp"
#include "worker/device/device.hpp"
#include "worker/device/device_health.hpp"
#include "worker/diffusion/query_set.hpp"
#include "worker/diffusion/sampling.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/job_inputs.hpp"
#include "worker/job_meter.hpp"
#include "worker/memory_check.hpp"
#include "worker/models/clip_vision.hpp"
#include "worker/models/lora.hpp"
#include "worker/models/weights.hpp"
#include "worker/pipeline_parts.hpp"
#include "worker/training/autoencoder_trainer.hpp"
#include "worker/training/images.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

namespace guda::worker {
namespace {

const jobs::RemovalSet& removal_set(const Context& context, const Digest& digest) {
  const auto found = context.plan.removal_sets.find(digest);
  if (found == context.plan.removal_sets.end()) throw Bug("the plan has no removal set " + digest.hex);
  return found->second;
}

/// Tables that consecutive jobs read; they outlive the jobs and belong to the worker's one thread.
PipelineParts& pipeline_parts() {
  static thread_local PipelineParts parts;
  return parts;
}

/// Runs one kind of work each.
class Executor {
 public:
  Executor(const jobs::JobSpec& job, Context& context, torch::Device device)
      : job_(job), context_(context), device_(device), inputs_(context, device) {
    // A model that is loaded ahead draws from the generator that training and sampling draw from.
    if (!std::holds_alternative<jobs::ScoreSpec>(job.work)) inputs_.models().settle();
  }

  JobResult operator()(const jobs::TrainSpec& spec) {
    if (auto done = published()) return *std::move(done);
    inputs_.models().clear();  // it takes long, and wants the memory
    std::span<const std::uint32_t> removed;
    std::vector<std::uint32_t> top;
    if (!spec.removal.empty()) removed = removal_set(context_, spec.removal).items;
    if (!spec.top.empty()) {
      top = jobs::union_of_first(jobs::read_kept_instances(inputs_.artifact(spec.top.from)), spec.top.queries,
                                 spec.top.items);
      removed = top;
    }
    Progress last{0, spec.training.steps, std::numeric_limits<double>::quiet_NaN()};
    const auto progress = [&](const Progress& p) {
      last = p;
      context_.progress(p);
    };
    const std::unique_ptr<Gang> gang = join([&] { context_.progress(last); });
    const bool root = !gang || gang->rank() == 0;
    JobCheckpoints checkpoints = open_checkpoints();
    JobCheckpoints* const kept = root ? &checkpoints : nullptr;
    JobResult result;
    const auto publish_trained = [&](const auto& trained, const auto& save) {
      if (!root) return result;
      result.metrics = {{"first_loss", trained.first_loss}, {"last_loss", trained.last_loss}};
      if (!top.empty()) result.metrics["removed"] = top.size();
      publish(result, save);
      close(checkpoints, result);
      return result;
    };
    if (jobs::is_autoencoder(spec.model)) {
      TrainedAutoencoder trained = train_autoencoder(spec, context_.dataset, device_, progress, kept, gang.get());
      return publish_trained(trained, [&](const auto& folder) { save_autoencoder_kl(trained.model, folder); });
    }
    std::optional<jobs::Dataset> base;
    if (spec.base) base = jobs::load_base_dataset(context_.plan.experiment.dataset);
    const Examples examples =
        pipeline_parts().examples(base ? *base : context_.dataset, spec.conditioning, find_, device_);
    Denoiser start;
    if (!spec.from.empty()) start = load_denoiser(inputs_.artifact(spec.from));
    const Trained trained = train(spec, examples, removed, device_, progress, kept, gang.get(), start, compute_mode());
    return publish_trained(trained,
                           [&](const auto& folder) { save_model(trained.model, spec.model, trained.lora, folder); });
  }

  JobResult operator()(const jobs::UnlearnSpec& spec) {
    if (auto done = published()) return *std::move(done);
    const std::filesystem::path from = inputs_.artifact(spec.from);
    const Json config = read_model_config(from);
    Denoiser teacher, model;
    if (needs_teacher(spec.unlearn, !spec.conditioning.texts.empty())) teacher = inputs_.model(spec.from);
    if (teacher.is_empty() || spec.unlearn.parameters.empty()) {
      model = load_denoiser(from);
      move_to(model.module(), device_);
    } else {
      model = student_of(teacher, config, spec.unlearn.parameters);
    }
    UNet2DCondition guide{nullptr};
    if (!spec.guide.empty()) {
      guide = load_unet2d_condition(inputs_.artifact(spec.guide));
      move_to(*guide, device_);
    }
    const Examples examples = pipeline_parts().examples(context_.dataset, spec.conditioning, find_, device_);
    JobCheckpoints checkpoints = open_checkpoints();
    const Unlearned unlearned =
        unlearn(model, teacher, spec, examples, removal_set(context_, spec.removal).items, context_.plan.groups.size(),
                device_, context_.progress, &checkpoints, guide, compute_mode());
    JobResult result;
    result.metrics = {{"retain_loss", unlearned.retain_loss}, {"forget_loss", unlearned.forget_loss}};
    if (unlearned.alignment) {
      result.metrics["alignment_mean"] = unlearned.alignment->mean;
      result.metrics["alignment_sd"] = unlearned.alignment->sd;
    }
    publish(result, [&](const auto& folder) { save_model(model, config, unlearned.lora, folder); });
    close(checkpoints, result);
    return result;
  }

  JobResult operator()(const jobs::SampleSpec& spec) {
    Denoiser model;
    if (!spec.from.empty()) model = inputs_.model(spec.from);
    JobCheckpoints checkpoints = open_checkpoints();
    const QuerySet set = make_query_set(model, spec, context_.dataset, device_, context_.progress,
                                        pipeline_parts().text_to_image(spec, find_, device_), &checkpoints);
    publish_directory(target(), [&](const std::filesystem::path& partial) { save_query_set(set, partial); });
    JobResult result;
    result.metrics = {{"queries", set.names.size()}};
    close(checkpoints, result);
    return result;
  }

  JobResult operator()(const jobs::ScoreSpec& spec) {
    QuerySet set = load_query_set(inputs_.artifact(spec.queries));
    if (!spec.chosen.empty()) set = chosen_queries(set, spec.chosen);
    if (std::uint64_t{spec.first} + spec.count > set.names.size()) {
      throw Bug("the block of job " + job_.label + " lies outside its query set");
    }
    const Denoiser model = inputs_.model(spec.weights);
    inputs_.load_next_ahead(spec.weights);
    const Seen seen = queries_of(spec.conditioning, set, spec.first, spec.count);
    JobResult result;
    result.rows.rows = spec.count;
    result.rows.columns = static_cast<std::uint32_t>(spec.slots.size());
    result.rows.losses =
        squared_errors(model, spec.diffusion, seen.x0, std::span(set.names).subspan(spec.first, spec.count), spec.slots,
                       spec.batch, spec.noise_seed, device_, context_.progress, seen.contexts);
    return result;
  }

  JobResult operator()(const jobs::AttributeSpec& spec) {
    const QuerySet set = load_query_set(inputs_.artifact(spec.queries));
    const Attributed attributed =
        attribute(spec, set, context_.dataset, removal_sets(spec.groups), find_, [this] { wait(); });
    if (attributed.instances) {
      publish_directory(target(), [&](const std::filesystem::path& partial) {
        save_instances(*attributed.instances, set.names, context_.dataset.train, partial);
      });
    }
    JobResult result;
    result.rows.rows = static_cast<std::uint32_t>(set.names.size());
    result.rows.columns = static_cast<std::uint32_t>(spec.groups.size());
    result.rows.scores = attributed.scores;
    return result;
  }

  JobResult operator()(const jobs::FeaturesSpec& spec) {
    if (auto done = published()) return *std::move(done);
    if (spec.kind == "texts") {
      const std::filesystem::path encoder = inputs_.artifact(spec.weights);
      const text::ClipTokenizer tokenizer(encoder / "tokenizer");
      ClipText clip = load_clip_text(encoder / "text_encoder");
      move_to(*clip, device_);
      const EmbeddedTexts embedded = embed_texts(tokenizer, clip, spec.texts, device_);
      return publish_features(spec, [&](const auto& folder) { save_texts(spec.texts, embedded, folder); });
    }
    if (spec.kind == "gradients" || spec.kind == "fisher") {
      const Denoiser model = load_denoiser(inputs_.artifact(spec.weights));
      move_to(model.module(), device_);
      const Seen seen = seen_by(spec);
      const Features features = spec.kind == "fisher"
                                    ? fisher_diagonal(model, spec, seen, device_, context_.progress)
                                    : gradient_features(model, spec, seen, device_, context_.progress);
      return publish_features(spec, [&](const auto& folder) { save_features(features, folder); });
    }
    const ImagesAt images = images_of(spec);
    if (spec.kind == "latents") {
      AutoencoderKL autoencoder = load_autoencoder_kl(inputs_.artifact(spec.weights));
      move_to(*autoencoder, device_);
      const LatentTable latents =
          encode_images(autoencoder, images, spec.count, spec.flip, device_, [this] { wait(); });
      return publish_features(spec, [&](const auto& folder) { save_latents(latents, folder); });
    }
    const Features features{clip_features(spec, images), {}};
    return publish_features(spec, [&](const auto& folder) { save_features(features, folder); });
  }

  JobResult operator()(const jobs::ComponentSpec& spec) {
    if (auto done = published()) return *std::move(done);
    JobResult result;
    publish(result, [&](const auto& folder) { make_component(spec, folder); });
    return result;
  }

  JobResult operator()(const jobs::MirrorSpec& spec) {
    const QuerySet set = load_query_set(inputs_.artifact(spec.queries));
    const Denoiser model = load_denoiser(inputs_.artifact(spec.weights));
    move_to(model.module(), device_);
    const auto names = std::span<const std::string>(set.names).subspan(spec.first, spec.count);
    const Examples examples = pipeline_parts().examples(context_.dataset, spec.conditioning, find_, torch::kCPU);
    JobCheckpoints checkpoints = open_checkpoints();
    const MirrorScores mirrored = mirror_scores(model, spec, queries_of(spec.conditioning, set, spec.first, spec.count),
                                                names, mean_fisher(spec.fisher), examples, removal_sets(spec.groups),
                                                device_, context_.progress, &checkpoints);
    if (mirrored.instances) {
      publish_directory(target(), [&](const std::filesystem::path& partial) {
        save_instances(*mirrored.instances, names, mirrored.items, partial);
      });
    }
    JobResult result;
    result.rows.rows = spec.count;
    result.rows.columns = static_cast<std::uint32_t>(spec.groups.size());
    result.rows.scores = mirrored.scores;
    double squares = 0;
    for (const double e : mirrored.standard_error) squares += e * e;
    result.metrics = {
        {"unlearning_steps", mirrored.mean_steps},
        {"sampling_error", std::sqrt(squares / static_cast<double>(std::max<std::size_t>(1, mirrored.scores.size())))}};
    if (spec.method == "mucs") result.metrics["query_loss"] = mirrored.mean_loss;
    note_checkpoints(checkpoints, result);
    return result;
  }

 private:
  [[nodiscard]] ComputeMode compute_mode() const {
    return {context_.plan.experiment.resources.gradient_checkpointing, context_.plan.numerics.dtype == "bfloat16"};
  }

  /// What later jobs read, and beside it the LoRA that was merged into it.
  static void save_model(const Denoiser& model, const Json& config, const std::optional<Lora>& lora,
                         const std::filesystem::path& folder) {
    save_denoiser(model, config, folder);
    if (lora) write_lora(folder / kLoraFile, *lora);
  }

  /// Says that the job is alive while it has no steps to count.
  void wait() const { context_.progress({0, 1, std::numeric_limits<double>::quiet_NaN()}); }

  JobResult publish_features(const jobs::FeaturesSpec& spec,
                             const std::function<void(const std::filesystem::path&)>& save) const {
    JobResult result;
    result.metrics = {{spec.kind == "texts" ? "texts" : "images", spec.count}};
    publish_directory(target(), [&](const std::filesystem::path& partial) {
      save(partial);
      replace_file(partial / "guda.json", provenance(result).dump(1) + "\n", false);
    });
    return result;
  }

  /// The other workers of the job; nullptr when there are none.
  [[nodiscard]] std::unique_ptr<Gang> join(std::function<void()> while_waiting) const {
    const std::uint32_t size = jobs::gang_of(job_.work);
    if (size == 1 && !context_.seat) return nullptr;
    if (!context_.seat || context_.seat->size != size)
      throw Bug("job " + job_.label + " wants a gang of " + std::to_string(size));
    const GangPatience patience{context_.gang_patience, std::move(while_waiting)};
    return over_gpus(join_gang(*context_.seat, patience), device_, patience);
  }

  [[nodiscard]] std::vector<jobs::RemovalSet> removal_sets(const std::vector<Digest>& digests) const {
    std::vector<jobs::RemovalSet> sets;
    for (const Digest& digest : digests) sets.push_back(removal_set(context_, digest));
    return sets;
  }

  [[nodiscard]] Seen queries_of(const jobs::Conditioning& conditioning, const QuerySet& set, std::uint32_t first,
                                std::uint32_t count) const {
    return pipeline_parts().queries(conditioning, set, first, count, find_, device_, [this] { wait(); });
  }

  /// Of a block of queries or of training items.
  [[nodiscard]] Seen seen_by(const jobs::FeaturesSpec& spec) const {
    if (!spec.queries.empty())
      return queries_of(spec.conditioning, load_query_set(inputs_.artifact(spec.queries)), spec.first, spec.count);
    return pipeline_parts()
        .examples(context_.dataset, spec.conditioning, find_, torch::kCPU)
        .seen(std::span(context_.dataset.train).subspan(spec.first, spec.count), spec.flip);
  }

  /// Those that the job is about; pictures are decoded when they are asked for.
  [[nodiscard]] ImagesAt images_of(const jobs::FeaturesSpec& spec) const {
    if (!spec.queries.empty()) {
      const torch::Tensor all = load_query_set(inputs_.artifact(spec.queries)).images;
      return [all, begin = spec.first](std::int64_t first, std::int64_t count) {
        return all.narrow(0, begin + first, count);
      };
    }
    const auto from = [begin = spec.first](const jobs::Dataset& data, std::int64_t first, std::int64_t count) {
      return gather_images(
          data,
          std::span(data.train).subspan(begin + static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
    };
    if (!spec.base) {
      return
          [&data = context_.dataset, from](std::int64_t first, std::int64_t count) { return from(data, first, count); };
    }
    const auto base = std::make_shared<const jobs::Dataset>(jobs::load_base_dataset(context_.plan.experiment.dataset));
    return [base, from](std::int64_t first, std::int64_t count) { return from(*base, first, count); };
  }

  [[nodiscard]] torch::Tensor clip_features(const jobs::FeaturesSpec& spec, const ImagesAt& images) const {
    constexpr std::int64_t kImages = 32;
    ClipVision clip = load_clip_vision(spec.encoder, device_);
    std::vector<torch::Tensor> rows;
    const std::int64_t all = spec.count;
    for (std::int64_t first = 0; first < all; first += kImages) {
      const std::int64_t count = std::min(kImages, all - first);
      rows.push_back(clip->features(clip_pixels(images(first, count), clip->side()), spec.projected));
      context_.progress({static_cast<std::uint64_t>(first + count), static_cast<std::uint64_t>(all),
                         std::numeric_limits<double>::quiet_NaN()});
    }
    return torch::cat(rows);
  }

  /// Over the blocks of the training set, by their sizes.
  [[nodiscard]] torch::Tensor mean_fisher(const std::vector<Digest>& blocks) const {
    torch::Tensor sum;
    double images = 0;
    for (const Digest& block : blocks) {
      const std::filesystem::path folder = inputs_.artifact(block);
      const double count = Json::parse(read_file(folder / "guda.json")).at("metrics").at("images").get<double>();
      const torch::Tensor part = load_features(folder).rows[0].to(torch::kFloat64) * count;
      sum = sum.defined() ? sum + part : part;
      images += count;
    }
    return sum.defined() ? (sum / images).to(torch::kFloat32) : sum;
  }

  [[nodiscard]] std::filesystem::path target() const { return context_.artifact_folders.at(0) / job_.digest.hex; }

  [[nodiscard]] std::filesystem::path checkpoint_folder() const { return target().string() + ".checkpoints"; }

  [[nodiscard]] JobCheckpoints open_checkpoints() const {
    const auto log = [this](const std::string& line) {
      if (context_.log) context_.log(job_.label + ": " + line);
    };
    return JobCheckpoints(
        {checkpoint_folder(), job_.digest, context_.checkpoints, context_.worker, steady_seconds, log});
  }

  static void close(JobCheckpoints& checkpoints, JobResult& result) {
    checkpoints.remove();
    note_checkpoints(checkpoints, result);
  }

  /// How the work was done is for the journal; the artifact must not depend on it.
  static void note_checkpoints(const JobCheckpoints& checkpoints, JobResult& result) {
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

  [[nodiscard]] Json provenance(const JobResult& result) const {
    return {{"schema", 1},
            {"job", job_.digest.hex},
            {"kind", jobs::kind_of(job_.work)},
            {"label", job_.label},
            {"dataset", context_.dataset.content.hex},
            {"metrics", result.metrics}};
  }

  void publish(const JobResult& result, const std::function<void(const std::filesystem::path&)>& save) {
    publish_weights(context_.artifact_folders, job_.digest, save, provenance(result));
  }

  const jobs::JobSpec& job_;
  Context& context_;
  torch::Device device_;
  mutable JobInputs inputs_;
  const PipelineParts::FindArtifact find_ = [this](const Digest& digest) { return inputs_.artifact(digest); };
};

}  // namespace

JobResult execute(const jobs::JobSpec& job, Context& context) {
  if (context.artifact_folders.empty()) throw Bug("a worker was given no artifact folder");
  at::set_num_threads(static_cast<int>(context.plan.numerics.threads));
  const torch::Device device = open_device(context.plan.numerics);
  const JobMeter meter(device, context.models, context.cache);
  check_memory(
      job, context.plan.experiment, [&] { return usable_memory(device); },
      [&] {
        if (context.models != nullptr) context.models->clear();
      });
  JobResult result = std::visit(Executor(job, context, device), job.work);
  synchronize(device);  // what goes wrong there late is still this job's
  meter.add_to(result.metrics, result.earlier_seconds);
  return result;
}

}  // namespace guda::worker
