#include "worker/attribution/attribute.hpp"

#include <unordered_map>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/npy.hpp"
#include "worker/attribution/controls.hpp"
#include "worker/attribution/kernel_density.hpp"
#include "worker/attribution/similarity.hpp"
#include "worker/diffusion/text_table.hpp"
#include "worker/training/images.hpp"
#include "worker/training/latent_table.hpp"

namespace guda::worker {
namespace fs = std::filesystem;
namespace {

void write_array(const torch::Tensor& values, const fs::path& file) {
  const torch::Tensor flat = values.to(torch::kCPU, torch::kFloat32).contiguous();
  NpyArray array;
  for (const std::int64_t side : flat.sizes()) array.shape.push_back(static_cast<std::uint64_t>(side));
  array.values = std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  replace_file(file, encode_npy(array), false);
}

torch::Tensor read_array(const fs::path& file, std::size_t dimensions) {
  const NpyArray array = read_npy(file);
  const auto* const values = std::get_if<std::vector<float>>(&array.values);
  if (values == nullptr || array.shape.size() != dimensions)
    throw Error(file.string() + ": wants a float32 array of " + std::to_string(dimensions) + " dimensions");
  return torch::tensor(*values).view(std::vector<std::int64_t>(array.shape.begin(), array.shape.end()));
}

/// Positions of the groups' items within the training split, ascending; `most` > 0 keeps the first so many.
std::vector<std::vector<std::int64_t>> positions_of(std::span<const jobs::RemovalSet> groups,
                                                    const jobs::Dataset& dataset, std::uint32_t most) {
  std::unordered_map<std::uint32_t, std::int64_t> place;
  for (std::size_t i = 0; i < dataset.train.size(); ++i) place[dataset.train[i]] = static_cast<std::int64_t>(i);
  std::vector<std::vector<std::int64_t>> positions;
  for (const jobs::RemovalSet& group : groups) {
    std::vector<std::int64_t>& own = positions.emplace_back();
    for (const std::uint32_t item : group.items) {
      if (most == 0 || own.size() < most) own.push_back(place.at(item));
    }
    std::sort(own.begin(), own.end());
  }
  return positions;
}

torch::Tensor all_rows(const std::vector<Digest>& features, const std::function<fs::path(const Digest&)>& folder) {
  std::vector<torch::Tensor> blocks;
  for (const Digest& digest : features) blocks.push_back(load_features(folder(digest)).rows);
  return torch::cat(blocks);
}

torch::Tensor rows_of(const torch::Tensor& all, std::span<const std::uint32_t> items, const fs::path& file) {
  std::vector<std::int64_t> rows(items.begin(), items.end());
  const torch::Tensor index = torch::tensor(rows, torch::kInt64);
  if (index.numel() > 0 && index.max().item<std::int64_t>() >= all.size(0))
    throw Error(file.string() + ": has " + std::to_string(all.size(0)) + " rows, fewer than the data set has items");
  return all.index_select(0, index);
}

std::vector<fs::path> folders_of(const std::vector<Digest>& jobs,
                                 const std::function<fs::path(const Digest&)>& folder) {
  std::vector<fs::path> folders;
  for (const Digest& job : jobs) folders.push_back(folder(job));
  return folders;
}

std::vector<double> similarities(const jobs::AttributeSpec& spec, const QuerySet& set, const jobs::Dataset& dataset,
                                 std::span<const std::vector<std::int64_t>> groups,
                                 const std::function<fs::path(const Digest&)>& folder,
                                 std::optional<TopInstances>& instances) {
  const jobs::SimilarityConfig& config = spec.similarity;
  torch::Tensor queries, items;
  if (config.features == "latents") {
    queries = load_latents(folders_of(spec.query_features, folder)).mean.flatten(1);
    items = load_latents(folders_of(spec.item_features, folder)).mean.flatten(1);
  } else if (config.features == "captions") {
    std::vector<std::string> captions;
    for (const std::uint32_t item : dataset.train) captions.push_back(dataset.captions.at(item));
    queries = load_texts(folders_of(spec.query_features, folder)).pooled(set.prompts);
    items = load_texts(folders_of(spec.item_features, folder)).pooled(captions);
  } else if (config.features == "clip") {
    queries = all_rows(spec.query_features, folder);
    items = all_rows(spec.item_features, folder);
  } else if (config.features == "npy") {
    queries = read_array(config.queries, 2);
    items = rows_of(read_array(config.items, 2), dataset.train, config.items);
    if (queries.size(0) != static_cast<std::int64_t>(set.names.size()))
      throw Error(config.queries.string() + ": has " + std::to_string(queries.size(0)) + " rows, the query set has " +
                  std::to_string(set.names.size()) + " images");
  } else {
    queries = set.images.flatten(1);
    items = gather_images(dataset, dataset.train).flatten(1);
  }
  if (config.keep_instances > 0) instances = most_similar(queries, items, config.keep_instances);
  return similarity_scores(queries, items, groups, config.aggregate);
}

/// Scaled means of latents, a row for each image.
torch::Tensor latent_rows(const std::vector<Digest>& features, const std::function<fs::path(const Digest&)>& folder) {
  const LatentTable latents = load_latents(folders_of(features, folder));
  return (latents.mean * latents.scale).flatten(1);
}

std::vector<double> density_scores(const jobs::AttributeSpec& spec, const QuerySet& set, const jobs::Dataset& dataset,
                                   std::span<const std::vector<std::int64_t>> groups,
                                   const std::function<fs::path(const Digest&)>& folder,
                                   const std::function<void()>& poll) {
  std::vector<DensityLevel> levels;
  for (std::size_t i = 0; i < spec.timesteps.size(); ++i)
    levels.push_back({spec.timesteps[i], spec.alpha_bars.at(i), spec.timestep_weights.at(i)});
  const bool latent = !spec.item_features.empty();
  const torch::Tensor items =
      latent ? latent_rows(spec.item_features, folder) : gather_images(dataset, dataset.train).flatten(1);
  const torch::Tensor queries = latent ? latent_rows(spec.query_features, folder) : set.images.flatten(1);
  return kernel_density_scores(queries, set.names, items, groups, levels, kernel_width(items, poll), spec.seed, poll);
}

}  // namespace

void save_features(const Features& features, const fs::path& folder) {
  write_array(features.rows, folder / "features.npy");
  if (features.residuals.defined()) write_array(features.residuals, folder / "residuals.npy");
}

Features load_features(const fs::path& folder) {
  Features features{read_array(folder / "features.npy", 2), {}};
  if (fs::exists(folder / "residuals.npy"))
    features.residuals = read_array(folder / "residuals.npy", 1).to(torch::kFloat64);
  return features;
}

Attributed attribute(const jobs::AttributeSpec& spec, const QuerySet& set, const jobs::Dataset& dataset,
                     std::span<const jobs::RemovalSet> groups, const std::function<fs::path(const Digest&)>& folder,
                     const std::function<void()>& poll) {
  const auto positions = positions_of(groups, dataset, spec.similarity.reference);
  Attributed result;
  if (spec.method == "similarity") {
    result.scores = similarities(spec, set, dataset, positions, folder, result.instances);
  } else if (spec.method == "kde_elbo") {
    result.scores = density_scores(spec, set, dataset, positions, folder, poll);
  } else if (spec.method == "trak" || spec.method == "dtrak" || spec.method == "das") {
    const FeatureBlocks blocks{spec.item_features.size(), [&](std::size_t b) {
                                 const Features block = load_features(folder(spec.item_features[b]));
                                 return FeatureBlock{block.rows, block.residuals};
                               }};
    if (spec.gradients.keep_instances > 0) result.instances.emplace();
    result.scores = kernel_scores(spec.method == "das", spec.gradients, all_rows(spec.query_features, folder), blocks,
                                  positions, poll, result.instances ? &*result.instances : nullptr);
  } else {
    result.scores = control_scores(spec, set.images, set.names, dataset, groups, poll);
  }
  return result;
}

void save_instances(const TopInstances& instances, std::span<const std::string> names,
                    std::span<const std::uint32_t> items, const fs::path& folder) {
  write_array(instances.scores, folder / "instances.npy");
  Json kept = Json::array();
  const auto rows = instances.rows.accessor<std::int64_t, 2>();
  for (std::int64_t q = 0; q < instances.rows.size(0); ++q) {
    Json& line = kept.emplace_back(Json::array());
    for (std::int64_t i = 0; i < instances.rows.size(1); ++i)
      line.push_back(items[static_cast<std::size_t>(rows[q][i])]);
  }
  replace_file(folder / "instances.json",
               Json{{"schema", 1}, {"names", std::vector(names.begin(), names.end())}, {"items", kept}}.dump(1) + "\n",
               false);
}

}  // namespace guda::worker
