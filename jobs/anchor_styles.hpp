#pragma once
// Which style takes the place of a forgotten one (GUDA-C; methods.md 2.4).
#include <cstdint>
#include <span>
#include <vector>

namespace guda::jobs {

/// pi_s = (1 - eta) softmax over s != forgotten of (beta cosines[s]) + eta / (styles - 1); 0 for the forgotten one.
/// cosines: of a caption's mean text embedding to every style's. Sums to 1. At least two styles, else Error.
[[nodiscard]] std::vector<double> anchor_distribution(std::span<const double> cosines, std::size_t forgotten,
                                                      double beta, double eta);

/// The style whose share of [0, 1) `uniform` lies in.
[[nodiscard]] std::size_t pick(std::span<const double> distribution, double uniform);

}  // namespace guda::jobs
