#pragma once
// The GPU of this process: whether there is one, how precisely it multiplies, on which stream it works.
#include <torch/torch.h>

#include <cstdint>
#include <string>

#include "jobs/spec.hpp"

namespace guda::worker {

/// The device that the numerics name, made ready for this thread: the one place that decides about TF32, determinism,
/// cuDNN's search for the fastest algorithms and attention's implementation. On a GPU the calling thread works on one
/// side stream from here on, which is what CUDA graphs can be captured from. Call it before any other work on the
/// device; again with other numerics changes the policy. Throws Error saying what is missing: a build with CUDA, a
/// driver, a GPU.
[[nodiscard]] torch::Device open_device(const jobs::Numerics& numerics);

/// GPUs that this process sees; 0 without a driver or in a build without CUDA. Never throws.
[[nodiscard]] int gpu_count() noexcept;

/// Why gpu_count() is 0, for people.
[[nodiscard]] std::string why_no_gpu();

/// Moves parameters and buffers; on a GPU the weights of convolutions become channels-last, as activations are.
void move_to(torch::nn::Module& module, torch::Device device);

}  // namespace guda::worker
