#pragma once
// GUARD: forget images that the retained ones need are pushed less. Weights fall with the alignment of an image's
// gradient with the mean retain gradient. The idea is Ma, Niu et al., "GUARD" (arXiv 2506.10946); formula and estimator
// are ours.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "jobs/spec.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/examples.hpp"

namespace guda::worker {

/// n softmax(-z / temperature) of the standardised alignments z: positive, mean 1; all 1 where alignments are equal.
/// temperature > 0; infinity weighs all alike.
[[nodiscard]] std::vector<double> guard_weights(std::span<const double> alignments, double temperature);

/// <grad l(x_i), mean retain gradient> of each forget item, l = squared error of the noise averaged over ten fixed (t,
/// eps) that all items share; of latents their means, under their own captions. The retain gradient is a mean over at
/// most 1,024 retained images; the inner product is a central difference of the losses along it, so it costs two
/// forwards per (item, t) instead of a gradient per item. The model is left as it was. `poll` may throw.
[[nodiscard]] std::vector<double> guard_alignments(const Denoiser& model, const jobs::UnlearnSpec& spec,
                                                   const Examples& examples, std::span<const std::uint32_t> removed,
                                                   torch::Device device, const std::function<void()>& poll);

}  // namespace guda::worker
