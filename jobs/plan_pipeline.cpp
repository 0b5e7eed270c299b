// The part of PlanBuilder for text-to-image experiments: the frozen parts of the pipeline, and what is computed with
// them once instead of in every training step.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/error.hpp"
#include "jobs/autoencoder_model.hpp"
#include "jobs/captions.hpp"
#include "jobs/cost.hpp"
#include "jobs/pipeline_folder.hpp"
#include "jobs/plan_builder.hpp"
#include "jobs/prompts.hpp"

namespace guda::jobs {
namespace {

constexpr std::uint32_t kTextBlock = 1024, kLatentBlock = 2048;
constexpr const char* kNoCaption = "";  // what a row without its caption is told

std::uint32_t at_most(std::size_t count, std::uint32_t block) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(count, block));
}

/// Whether the data set has what the anchor is made of.
void check_anchor(const AnchorConfig& anchor, const Dataset& dataset) {
  const std::string key = "unlearn.anchor.mode: " + anchor.mode;
  if (anchor.mode == "matched_retain") {
    if (dataset.sources.empty())
      throw Error(key +
                  " asks about another version of a picture; prompts say by 'source' which pictures are versions");
    return;
  }
  if (dataset.descriptors.empty())
    throw Error(key + " wants to know what captions say of a style; dataset.descriptors lists the words");
  for (std::size_t style = 0; anchor.mode != "style_removed" && style < dataset.descriptors.size(); ++style) {
    if (dataset.descriptors[style].size() < anchor.descriptors)
      throw Error(fmt::format("unlearn.anchor.descriptors: the style '{}' has only {} of {} words",
                              dataset.class_names.at(style), dataset.descriptors[style].size(), anchor.descriptors));
  }
}

}  // namespace

std::string PlanBuilder::folder_content(const std::string& part) const {
  const std::filesystem::path folder = plan_.experiment.pipeline.folder / part;
  if (!std::filesystem::is_directory(folder)) {
    if (weights_may_be_missing_) return "";
    throw Error(fmt::format("pipeline.folder: there is no {}; --set pipeline.folder=FOLDER names a diffusers pipeline",
                            folder.string()));
  }
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.insert(entry.path());
  }
  std::string all;
  for (const auto& file : files) all += file.filename().string() + " " + digest_of_file(file).hex + "\n";
  return digest_of(all).hex;
}

Json PlanBuilder::autoencoder_config() const { return autoencoder_of(plan_.experiment, dataset_.shape); }

Digest PlanBuilder::text_encoder() {
  if (!text_encoder_.empty()) return text_encoder_;
  const PipelineConfig& p = plan_.experiment.pipeline;
  ComponentSpec spec;
  spec.part = "text_encoder";
  spec.folder = p.folder;
  spec.text_encoder = p.text_encoder;
  if (p.folder.empty()) spec.texts = vocabulary_texts(dataset_);
  else spec.content = folder_content("text_encoder") + folder_content("tokenizer");
  return text_encoder_ = add(std::move(spec), "text encoder", {}, 1, {}, false);
}

Digest PlanBuilder::autoencoder() {
  const PipelineConfig& p = plan_.experiment.pipeline;
  if (p.folder.empty() && p.autoencoder.empty()) return {};
  if (!autoencoder_.empty()) return autoencoder_;
  if (!p.folder.empty()) {
    ComponentSpec spec;
    spec.part = "vae";
    spec.folder = p.folder;
    spec.content = folder_content("vae");
    return autoencoder_ = add(std::move(spec), "autoencoder", {}, 1, {}, false);
  }
  TrainSpec spec;
  spec.model = autoencoder_model(p.autoencoder, dataset_.shape);
  spec.training = p.autoencoder.training;
  spec.seed = (SeedPath(0) / "autoencoder").value();
  spec.kl_weight = p.autoencoder.kl_weight;
  const double cost = training_seconds(spec.model, double(spec.training.steps) * spec.training.batch);
  return autoencoder_ = add(std::move(spec), "train autoencoder", {}, cost, {}, true);
}

Digest PlanBuilder::base_model() {
  if (!base_.empty()) return base_;
  const Experiment& e = plan_.experiment;
  if (!e.pipeline.folder.empty()) {
    ComponentSpec spec;
    spec.part = "unet";
    spec.folder = e.pipeline.folder;
    spec.content = folder_content("unet");
    if (!e.pipeline.lora.empty()) {
      spec.lora = e.pipeline.lora;
      spec.lora_content = digest_of_file(spec.lora).hex;
    }
    return base_ = add(std::move(spec), "base model", {}, 1, {}, false);
  }
  if (e.dataset.of_pictures()) return {};  // there are none without a style
  TrainSpec spec;
  spec.model = e.model;
  spec.diffusion = e.diffusion;
  spec.training = e.pipeline.base;
  spec.seed = (SeedPath(0) / "base").value();
  spec.gang = e.resources.gang > 1 ? e.resources.gang : 0;
  spec.conditioning = training_conditioning(true, e.pipeline.base.horizontal_flip);
  spec.caption_dropout = e.pipeline.caption_dropout;
  spec.base = true;
  std::vector<Digest> inputs = inputs_of(spec.conditioning);
  const double cost = gang_training_seconds(e.model, e.pipeline.base, e.resources, tokens_);
  return base_ = add(std::move(spec), "train base", std::move(inputs), cost, {}, true);
}

const std::vector<Digest>& PlanBuilder::text_features(const std::string& what,
                                                      const std::function<std::vector<std::string>()>& make_texts) {
  const auto [known, is_new] = features_.try_emplace(what);
  if (!is_new) return known->second;
  const std::vector<std::string> texts = make_texts();
  const std::set<std::string> once(texts.begin(), texts.end());
  const std::vector<std::string> sorted(once.begin(), once.end());
  FeaturesSpec spec;
  spec.kind = "texts";
  spec.weights = text_encoder();
  std::vector<Digest>& features = known->second;
  for (std::size_t first = 0; first < sorted.size(); first += kTextBlock) {
    spec.count = at_most(sorted.size() - first, kTextBlock);
    const auto begin = sorted.begin() + static_cast<std::ptrdiff_t>(first);
    spec.texts.assign(begin, begin + spec.count);
    features.push_back(add(spec, fmt::format("embed {} {}-{}", what, first, first + spec.count - 1), {spec.weights},
                           5e-4 * spec.count, {}, false));
  }
  return features;
}

const std::vector<Digest>& PlanBuilder::latents(bool base, bool flip) {
  const auto [known, is_new] = features_.try_emplace(fmt::format("latents {} {}", base, flip));
  std::vector<Digest>& features = known->second;
  const Digest encoder = autoencoder();
  if (!is_new || encoder.empty()) return features;
  // The base has an image for every object, the data set one in each style.
  const std::size_t items = base ? load_base_dataset(plan_.experiment.dataset).train.size() : dataset_.train.size();
  const double seconds = forward_seconds(autoencoder_config(), 0.5);
  FeaturesSpec spec;
  spec.kind = "latents";
  spec.weights = encoder;
  spec.base = base;
  spec.flip = flip;
  for (std::size_t first = 0; first < items; first += kLatentBlock) {
    spec.first = static_cast<std::uint32_t>(first);
    spec.count = at_most(items - first, kLatentBlock);
    features.push_back(add(spec,
                           fmt::format("encode {}images {}-{}", base ? "base " : "", first, first + spec.count - 1),
                           {encoder}, seconds * spec.count * (flip ? 2 : 1), {}, true));
  }
  return features;
}

const std::vector<Digest>& PlanBuilder::captions(bool base) {
  const auto captions_of = [](const Dataset& data) {
    std::vector<std::string> captions{kNoCaption};
    for (const std::uint32_t item : data.train) captions.push_back(data.captions.at(item));
    return captions;
  };
  if (!base) return text_features("captions", [&] { return captions_of(dataset_); });
  return text_features("base captions", [&] { return captions_of(load_base_dataset(plan_.experiment.dataset)); });
}

Conditioning PlanBuilder::training_conditioning(bool base, bool flip) {
  if (!text_to_image()) return {};
  return {{}, latents(base, flip), captions(base)};
}

Conditioning PlanBuilder::unlearning_conditioning(const UnlearnConfig& unlearn) {
  Conditioning conditioning = training_conditioning(false, unlearn.horizontal_flip);
  if (unlearn.op != "guda_c") return conditioning;
  const AnchorConfig& anchor = unlearn.anchor;
  check_anchor(anchor, dataset_);
  const auto anchors = [&] {
    std::vector<std::string> texts = anchor_captions(dataset_, anchor);
    if (anchor.mode == "weighted_style_select") {
      // The likeness of styles is that of their single descriptors.
      for (const auto& words : dataset_.descriptors) texts.insert(texts.end(), words.begin(), words.end());
      for (const std::uint32_t item : dataset_.train) {
        const auto words = parse_caption(dataset_.captions.at(item)).descriptors;
        texts.insert(texts.end(), words.begin(), words.end());
      }
    }
    return texts;
  };
  const std::vector<Digest>& more =
      text_features(fmt::format("anchors {} of {}", anchor.mode, anchor.descriptors), anchors);
  conditioning.texts.insert(conditioning.texts.end(), more.begin(), more.end());
  return conditioning;
}

const std::vector<Prompt>& PlanBuilder::prompts_of(std::uint64_t run_seed, const QuerySetConfig& set,
                                                   std::uint32_t count) {
  const auto [known, is_new] = prompts_.try_emplace({run_seed, set.name, count});
  if (is_new && text_to_image()) known->second = query_prompts(set, dataset_, count, run_seed);
  return known->second;
}

const std::vector<Digest>& PlanBuilder::prompts(std::uint64_t run_seed, std::size_t set) {
  const QuerySetConfig& config = plan_.experiment.queries.at(set);
  return text_features(fmt::format("prompts of {} (seed {})", config.name, run_seed), [&] {
    const auto count =
        static_cast<std::uint32_t>(std::count_if(plan_.queries.begin(), plan_.queries.end(), [&](const Query& query) {
          return query.set == config.name && query.seed == run_seed;
        }));
    // The preview draws from a generated set's first prompts, however few queries there are.
    std::vector<std::string> texts{kNoCaption};
    for (const Prompt& prompt :
         prompts_of(run_seed, config, config.kind == "generated" ? std::max(count, kPreviewCount) : count))
      texts.push_back(prompt.text);
    return texts;
  });
}

Conditioning PlanBuilder::query_conditioning(std::uint64_t run_seed, std::size_t set) {
  if (!text_to_image()) return {};
  return {autoencoder(), {}, prompts(run_seed, set)};
}

}  // namespace guda::jobs
