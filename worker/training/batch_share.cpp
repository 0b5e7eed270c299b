#include "worker/training/batch_share.hpp"

#include <algorithm>

namespace guda::worker {

BatchShare share_of(std::uint32_t batch, std::uint32_t rank, std::uint32_t size) {
  const auto begin = [&](std::uint64_t r) { return static_cast<std::uint32_t>(r * batch / size); };
  return {begin(rank), begin(rank + 1) - begin(rank)};
}

std::vector<BatchShare> parts_of(const BatchShare& rows, std::uint32_t micro_batch) {
  const std::uint32_t count = micro_batch > 0 ? std::max(1U, (rows.count + micro_batch - 1) / micro_batch) : 1;
  std::vector<BatchShare> parts(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    parts[i] = share_of(rows.count, i, count);
    parts[i].first += rows.first;
  }
  return parts;
}

}  // namespace guda::worker
