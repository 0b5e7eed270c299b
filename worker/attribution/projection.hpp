#pragma once
// Random projections of long vectors from a counter: entry (weight j, column c) depends on the seed, j and c only, so
// every job on every machine uses the same matrix and nobody stores it.
#include <torch/torch.h>

#include <cstdint>
#include <string>

namespace guda::worker {

class Projection {
 public:
  /// kind: rademacher (entries +-1), gaussian (standard normal) or sjlt (per weight 8 entries +-sqrt(k/8), one in each
  /// eighth of the columns; Kane & Nelson 2014). In all of them E[(P^T a).(P^T b)] = k a.b, as in D-TRAK's code.
  Projection(const std::string& kind, std::uint32_t dimension, std::uint64_t seed);
  /// [rows, weights] float32 -> [rows, dimension] float32, on the CPU.
  [[nodiscard]] torch::Tensor apply(const torch::Tensor& rows) const;

 private:
  [[nodiscard]] torch::Tensor apply_sparse(const torch::Tensor& rows) const;
  [[nodiscard]] torch::Tensor apply_dense(const torch::Tensor& rows) const;
  void fill_row(std::uint64_t weight, float* out) const;

  bool sparse_ = false, gaussian_ = false;
  std::uint32_t dimension_;
  std::uint64_t seed_;
};

}  // namespace guda::worker
