#include "worker/attribution/projection.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "common/error.hpp"
#include "common/random.hpp"
#include "worker/diffusion/noise.hpp"

namespace guda::worker {
namespace {

constexpr std::uint64_t kEntries = 8;                          // of a weight in the sparse matrix
constexpr std::int64_t kChunkNumbers = std::int64_t{1} << 22;  // of the dense matrix that are alive at once

}  // namespace

Projection::Projection(const std::string& kind, std::uint32_t dimension, std::uint64_t seed)
    : sparse_(kind == "sjlt"), gaussian_(kind == "gaussian"), dimension_(dimension), seed_(seed) {
  if (!sparse_ && !gaussian_ && kind != "rademacher")
    throw Error("gradients.projection: '" + kind + "' is not one of sjlt, rademacher, gaussian");
  if (dimension < kEntries) throw Error("gradients.dimension: must be at least 8");
}

torch::Tensor Projection::apply(const torch::Tensor& rows) const {
  const torch::NoGradGuard no_grad;
  return sparse_ ? apply_sparse(rows) : apply_dense(rows);
}

torch::Tensor Projection::apply_sparse(const torch::Tensor& rows) const {
  // Both matrices stand on their side: one entry is then one multiple of a short contiguous vector.
  const torch::Tensor in = rows.to(torch::kCPU, torch::kFloat32).t().contiguous();
  const std::int64_t n = in.size(1);
  torch::Tensor out = torch::zeros({dimension_, n});
  const float* const from = in.data_ptr<float>();
  float* const to = out.data_ptr<float>();
  const float size = std::sqrt(static_cast<float>(dimension_) / kEntries);
  for (std::int64_t j = 0; j < in.size(0); ++j) {
    const float* const values = from + j * n;
    for (std::uint64_t e = 0; e < kEntries; ++e) {
      const std::uint64_t bits = random_bits(seed_, static_cast<std::uint64_t>(j) * kEntries + e);
      const std::uint64_t begin = e * dimension_ / kEntries, end = (e + 1) * dimension_ / kEntries;
      const std::uint64_t column = begin + ((bits >> 32) * (end - begin) >> 32);
      const float sign = (bits & 1) != 0 ? size : -size;
      float* const sum = to + column * n;
      for (std::int64_t i = 0; i < n; ++i) sum[i] += sign * values[i];
    }
  }
  return out.t().contiguous();
}

void Projection::fill_row(std::uint64_t weight, float* out) const {
  if (gaussian_) return fill_normal(seed_, weight, 0, 0, {out, dimension_});
  constexpr std::uint32_t kBits = 64;
  const std::uint64_t words = (dimension_ + kBits - 1) / kBits;
  for (std::uint64_t w = 0; w < words; ++w) {
    const std::uint64_t bits = random_bits(seed_, weight * words + w);
    const std::uint32_t count = std::min<std::uint32_t>(kBits, dimension_ - static_cast<std::uint32_t>(w) * kBits);
    for (std::uint32_t b = 0; b < count; ++b) out[w * kBits + b] = static_cast<float>((bits >> b & 1) * 2) - 1;
  }
}

torch::Tensor Projection::apply_dense(const torch::Tensor& rows) const {
  const torch::Tensor in = rows.to(torch::kCPU, torch::kFloat32);
  torch::Tensor out = torch::zeros({in.size(0), dimension_});
  const std::int64_t chunk = std::max<std::int64_t>(1, kChunkNumbers / dimension_);
  torch::Tensor matrix = torch::empty({chunk, dimension_});
  for (std::int64_t first = 0; first < in.size(1); first += chunk) {
    const std::int64_t count = std::min(chunk, in.size(1) - first);
    for (std::int64_t j = 0; j < count; ++j)
      fill_row(static_cast<std::uint64_t>(first + j), matrix.data_ptr<float>() + j * dimension_);
    out.addmm_(in.narrow(1, first, count), matrix.narrow(0, 0, count));
  }
  return out;
}

}  // namespace guda::worker
