#pragma once
// The weights of the recorded references, computed by the same formula as in tests/golden/generate.py.
#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>

namespace guda::testing {

inline std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// Numbers in [-1, 1), exact in float32.
inline std::vector<float> uniform(std::uint64_t seed, std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = splitmix64((seed << 32) + static_cast<std::uint64_t>(i)) >> 40;
    values.push_back(static_cast<float>(static_cast<double>(bits) * 0x1p-23 - 1.0));
  }
  return values;
}

inline void fill_golden_weights(torch::nn::Module& module, std::uint64_t seed) {
  std::map<std::string, at::Tensor> sorted;
  for (const auto& p : module.named_parameters()) sorted.emplace(p.key(), p.value());
  const at::NoGradGuard no_grad;
  for (auto& [name, p] : sorted) {
    std::vector<float> u = uniform(seed++, p.numel());
    const double fan_in = p.dim() >= 2 ? static_cast<double>(p[0].numel()) : 1;
    for (float& x : u) {
      if (p.dim() >= 2) x = static_cast<float>(x / std::sqrt(fan_in));
      else x = x * 0.25F + (name.ends_with(".weight") ? 1.0F : 0.0F);
    }
    p.copy_(at::from_blob(u.data(), p.sizes(), at::kFloat));
  }
}

/// Largest absolute difference over the largest absolute reference; infinite when shapes differ or anything is NaN.
inline double relative_error(const at::Tensor& got, const at::Tensor& reference) {
  if (!got.defined() || got.sizes() != reference.sizes()) return INFINITY;
  const double scale = reference.abs().max().item<double>();
  const double difference = (got - reference).abs().max().item<double>();
  return std::isfinite(difference) ? difference / std::max(scale, 1e-12) : INFINITY;
}

}  // namespace guda::testing
