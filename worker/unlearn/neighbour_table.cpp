#include "worker/unlearn/neighbour_table.hpp"

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "worker/profile/span.hpp"
#include "worker/training/images.hpp"
#include "worker/unlearn/neighbours.hpp"

namespace guda::worker {
namespace {

constexpr std::size_t kTablesKept = 16;

Digest name_of(const jobs::Dataset& dataset, std::span<const std::uint32_t> removed, std::uint32_t k, bool mirrors) {
  std::string identity = dataset.content.hex + " " + std::to_string(k) + (mirrors ? " mirrors " : " ");
  // Pixels and the split, not only the content's name: a data set made by hand has none.
  if (dataset.content.empty()) {
    identity += digest_of(std::span(dataset.pixels)).hex;
    identity.append(reinterpret_cast<const char*>(dataset.train.data()),
                    dataset.train.size() * sizeof dataset.train[0]);
  }
  identity.append(reinterpret_cast<const char*>(removed.data()), removed.size_bytes());
  return digest_of(std::string_view(identity));
}

}  // namespace

NeighbourTable::NeighbourTable(const jobs::Dataset& dataset, std::span<const std::uint32_t> removed, std::uint32_t k,
                               bool mirrors, const std::function<void()>& poll) {
  std::vector<std::uint32_t> retained = dataset.train;
  std::erase_if(retained, [&](std::uint32_t item) { return std::binary_search(removed.begin(), removed.end(), item); });
  std::sort(retained.begin(), retained.end());  // ties of distance go by item, whatever the split's order
  const torch::Tensor retain_images = gather_images(dataset, retained), forget_images = gather_images(dataset, removed);
  MirroredNeighbours found;
  if (mirrors) {
    found = nearest_neighbours_mirrored(forget_images, retain_images, k, poll);
  } else {
    found.nearest = nearest_neighbours(forget_images.flatten(1), retain_images.flatten(1), k, poll);
    found.mirrored = torch::zeros_like(found.nearest.index, torch::kBool);
  }
  k_ = static_cast<std::size_t>(found.nearest.index.size(1));
  for (std::size_t i = 0; i < removed.size() * k_; ++i) {
    items_.push_back(retained[static_cast<std::size_t>(found.nearest.index.data_ptr<std::int64_t>()[i])]);
    mirrored_.push_back(found.mirrored.data_ptr<bool>()[i]);
  }
  for (std::size_t row = 0; row < removed.size(); ++row) row_[removed[row]] = row;
}

torch::Tensor NeighbourTable::differences(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                                          const std::vector<bool>& flips) const {
  const ProfileSpan span("guda::neighbour_differences");
  std::vector<std::uint32_t> near;
  std::vector<bool> turned;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t first = row_.at(items[i]) * k_;
    for (std::size_t n = first; n < first + k_; ++n) {
      near.push_back(items_[n]);
      turned.push_back(mirrored_[n] != (!flips.empty() && flips[i]));
    }
  }
  const torch::Tensor forget = gather_images(dataset, items, flips).flatten(1);
  const torch::Tensor retain = gather_images(dataset, near, turned).flatten(1);
  return forget.unsqueeze(1) - retain.view({forget.size(0), static_cast<std::int64_t>(k_), -1});
}

std::shared_ptr<const NeighbourTable> neighbour_table(const jobs::Dataset& dataset,
                                                      std::span<const std::uint32_t> removed, std::uint32_t k,
                                                      bool mirrors, const std::function<void()>& poll) {
  static thread_local std::deque<std::pair<Digest, std::shared_ptr<const NeighbourTable>>> kept;
  if (poll) poll();
  const Digest name = name_of(dataset, removed, k, mirrors);
  for (const auto& [known, table] : kept) {
    if (known == name) return table;
  }
  kept.emplace_back(name, std::make_shared<const NeighbourTable>(dataset, removed, k, mirrors, poll));
  if (kept.size() > kTablesKept) kept.pop_front();
  return kept.back().second;
}

}  // namespace guda::worker
