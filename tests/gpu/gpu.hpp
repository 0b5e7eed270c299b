#pragma once
// What the tests on a GPU share.
#include <torch/torch.h>

#include <cstdlib>
#include <string>

#include "jobs/spec.hpp"
#include "worker/device/device.hpp"
#include "worker/device/device_health.hpp"

namespace guda::test {

inline bool on_cpu() {
  const char* device = std::getenv("GUDA_TEST_DEVICE");
  return device != nullptr && std::string(device) == "cpu";
}

/// The device under test, with products as precise as on a CPU unless said otherwise.
inline torch::Device gpu(const std::string& dtype = "float32", bool deterministic = true) {
  jobs::Numerics numerics;
  numerics.device = on_cpu() ? "cpu" : "cuda";
  numerics.dtype = dtype;
  numerics.deterministic = deterministic;
  return worker::open_device(numerics);
}

/// Largest difference, as a part of the largest value.
inline double difference(const torch::Tensor& got, const torch::Tensor& want) {
  const torch::Tensor a = got.detach().to(torch::kCPU, torch::kFloat64),
                      b = want.detach().to(torch::kCPU, torch::kFloat64);
  return (a - b).abs().max().item<double>() / std::max(1e-30, b.abs().max().item<double>());
}

inline torch::Tensor last(const torch::Tensor& images) { return images.contiguous(at::MemoryFormat::ChannelsLast); }

}  // namespace guda::test
