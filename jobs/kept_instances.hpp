#pragma once
// The training items that an Attribute job kept for every query (instances.json, docs/formats.md).
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace guda::jobs {

struct KeptInstances {
  std::vector<std::string> names;                 ///< queries
  std::vector<std::vector<std::uint32_t>> items;  ///< of each query: items of the data set, largest score first
};

/// Of an artifact's folder; throws Error naming the file where it is damaged.
[[nodiscard]] KeptInstances read_kept_instances(const std::filesystem::path& folder);

/// The first `items` of each of the first `queries` queries, together: sorted, unique. Throws Error where fewer are
/// kept.
[[nodiscard]] std::vector<std::uint32_t> union_of_first(const KeptInstances& kept, std::uint32_t queries,
                                                        std::uint32_t items);

}  // namespace guda::jobs
