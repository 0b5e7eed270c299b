#include "worker/unlearn/anchors.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/anchor_styles.hpp"
#include "jobs/captions.hpp"

namespace guda::worker {
namespace {

torch::Tensor unit(const torch::Tensor& vector) { return vector / vector.norm(); }

}  // namespace

Anchors::Anchors(const jobs::AnchorConfig& config, const Examples& examples, std::span<const std::uint32_t> removed)
    : config_(config), examples_(examples) {
  const jobs::Dataset& data = examples.dataset();
  if (!examples.has_captions()) throw Error("guda_c: the images have no captions");
  if (config_.mode == "weighted_style_select") {
    std::vector<torch::Tensor> prototypes;
    for (const auto& words : data.descriptors) prototypes.push_back(direction(words));
    prototypes_ = torch::stack(prototypes);
  }
  if (config_.mode != "matched_retain") return;
  for (const std::uint32_t item : data.train) {
    if (!std::binary_search(removed.begin(), removed.end(), item))
      retained_versions_[data.sources.at(item)].push_back(item);
  }
  for (const std::uint32_t item : removed) {
    if (!retained_versions_.contains(data.sources.at(item)))
      throw Error(fmt::format("guda_c: matched_retain: no other version of image {} is retained", item));
  }
}

torch::Tensor Anchors::direction(const std::vector<std::string>& descriptors) const {
  const torch::Tensor rows = examples_.texts().pooled(descriptors).to(torch::kFloat64);
  return unit((rows / rows.norm(2, 1, /*keepdim=*/true)).mean(0));
}

const std::vector<double>& Anchors::distribution(std::uint32_t item) {
  const jobs::Dataset& data = examples_.dataset();
  const std::string& caption = data.captions.at(item);
  const auto [found, is_new] = distributions_.try_emplace(caption);
  if (!is_new) return found->second;
  std::vector<double> cosines(data.descriptors.size(), 0);
  if (config_.mode == "weighted_style_select") {
    const torch::Tensor likeness = prototypes_.matmul(direction(jobs::parse_caption(caption).descriptors));
    for (std::size_t s = 0; s < cosines.size(); ++s) cosines[s] = likeness[static_cast<std::int64_t>(s)].item<double>();
  }
  const bool uniform = config_.mode == "uniform";
  return found->second = jobs::anchor_distribution(cosines, data.labels.at(item), uniform ? 0 : config_.beta,
                                                   uniform ? 1 : config_.eta);
}

std::string Anchors::caption_for(std::uint32_t item, std::uint64_t key, std::uint64_t row) {
  const jobs::Dataset& data = examples_.dataset();
  const std::string& own = data.captions.at(item);
  if (config_.mode == "style_removed") return jobs::without_style(own);
  const std::size_t style = jobs::pick(distribution(item), random_uniform(key, 2 * row));
  auto subsets = jobs::descriptor_subsets(data.descriptors.at(style), config_.descriptors);
  const auto which = static_cast<std::size_t>(random_uniform(key, 2 * row + 1) * static_cast<double>(subsets.size()));
  return jobs::training_caption({jobs::parse_caption(own).object, std::move(subsets.at(which))});
}

StepImages Anchors::matched(const StepImages& forget, const SeedPath& seed, std::uint64_t step,
                            const jobs::NoiseSchedule& schedule) const {
  const std::uint64_t key = (seed / "anchor").value();
  StepImages rows = forget;
  for (std::size_t i = 0; i < rows.items.size(); ++i) {
    const auto& versions = retained_versions_.at(examples_.dataset().sources.at(forget.items[i]));
    rows.items[i] = versions[static_cast<std::size_t>(random_uniform(key, step * rows.items.size() + i) *
                                                      static_cast<double>(versions.size()))];
  }
  const torch::Tensor x0 = examples_.clean(rows.items, rows.flips, seed / "anchor", step);
  rows.x_t = add_noise(x0, forget.noise, noise_levels(schedule, forget.timesteps, x0.device()));
  rows.context = examples_.context(rows.items);
  return rows;
}

StepImages Anchors::of(const StepImages& forget, const SeedPath& seed, std::uint64_t step,
                       const jobs::NoiseSchedule& schedule) {
  if (config_.mode == "matched_retain") return matched(forget, seed, step, schedule);
  const std::uint64_t key = (seed / "anchor").value();
  StepImages rows = forget;
  std::vector<std::string> captions;
  for (std::size_t i = 0; i < forget.items.size(); ++i)
    captions.push_back(caption_for(forget.items[i], key, step * forget.items.size() + i));
  rows.context = examples_.texts().embeddings(captions);
  return rows;
}

}  // namespace guda::worker
