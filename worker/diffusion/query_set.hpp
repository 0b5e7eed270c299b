#pragma once
// A query set as an artifact folder: queries.npy (float32 [N, C, H, W] in [-1, 1]), queries.json, sheet.png.
#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace guda::worker {

struct QuerySet {
  torch::Tensor images;                             ///< float32 [N, C, H, W] on the CPU
  std::vector<std::string> names;                   ///< [N]
  std::vector<std::optional<std::uint32_t>> items;  ///< [N] row of the data set a query is, where it is one
  std::vector<std::optional<std::string>> classes;  ///< [N] true class, where it is known
  std::vector<std::string> prompts;                 ///< [N] of a text-to-image model; empty for others
};

/// Writes the three files into an existing folder.
void save_query_set(const QuerySet& set, const std::filesystem::path& folder);

/// Throws IoError or Error naming the file when it is missing, damaged or inconsistent.
[[nodiscard]] QuerySet load_query_set(const std::filesystem::path& folder);

/// The queries at these positions, in their order; throws Error for a position outside of the set.
[[nodiscard]] QuerySet chosen_queries(const QuerySet& set, std::span<const std::uint32_t> positions);

}  // namespace guda::worker
