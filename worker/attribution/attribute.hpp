#pragma once
// The Attribute job: from features and groups to scores of a whole query set.
#include <functional>
#include <optional>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/spec.hpp"
#include "worker/attribution/gradient_features.hpp"
#include "worker/attribution/kernel_scores.hpp"
#include "worker/diffusion/query_set.hpp"

namespace guda::worker {

/// Writes a Features job's result into a folder: features.npy and, where there are any, residuals.npy.
void save_features(const Features& features, const std::filesystem::path& folder);
/// Throws Error naming the file when it is damaged.
[[nodiscard]] Features load_features(const std::filesystem::path& folder);

struct Attributed {
  std::vector<double> scores;             ///< [queries, groups]
  std::optional<TopInstances> instances;  ///< rows count within the training split
};

/// `folder(digest)` finds the artifact of a Features job. Throws Error on a bad setting and whatever `poll` throws.
[[nodiscard]] Attributed attribute(const jobs::AttributeSpec& spec, const QuerySet& set, const jobs::Dataset& dataset,
                                   std::span<const jobs::RemovalSet> groups,
                                   const std::function<std::filesystem::path(const Digest&)>& folder,
                                   const std::function<void()>& poll);

/// Writes kept instances: instances.npy, float32 [queries, kept], and instances.json with query names and the items.
/// `items`: of the data set, what the rows of `instances` count in.
void save_instances(const TopInstances& instances, std::span<const std::string> names,
                    std::span<const std::uint32_t> items, const std::filesystem::path& folder);

}  // namespace guda::worker
