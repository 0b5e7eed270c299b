#include "worker/training/class_labels.hpp"

#include "common/random.hpp"

namespace guda::worker {
namespace {

torch::Tensor empty_rows(const jobs::Dataset& dataset, std::size_t rows) {
  return torch::zeros({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(dataset.class_names.size()) + 1});
}

}  // namespace

torch::Tensor class_rows(const jobs::Dataset& dataset, std::span<const std::uint32_t> items) {
  torch::Tensor rows = empty_rows(dataset, items.size());
  auto row = rows.accessor<float, 2>();
  for (std::size_t i = 0; i < items.size(); ++i) row[static_cast<std::int64_t>(i)][dataset.labels.at(items[i])] = 1;
  return rows;
}

torch::Tensor no_class_rows(const jobs::Dataset& dataset, std::size_t rows) {
  torch::Tensor none = empty_rows(dataset, rows);
  none.select(1, -1).fill_(1);
  return none;
}

torch::Tensor dropped_class_rows(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                                 const SeedPath& seed, std::uint64_t step, double dropout) {
  torch::Tensor rows = class_rows(dataset, items);
  const torch::Tensor none = no_class_rows(dataset, 1)[0];
  const std::uint64_t key = seed.value();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (random_uniform(key, step * items.size() + i) < dropout) rows[static_cast<std::int64_t>(i)].copy_(none);
  }
  return rows;
}

}  // namespace guda::worker
