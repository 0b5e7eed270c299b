#pragma once
// The device of a worker: is it sound, how much memory has it, how much of that was used. The same for every kind of
// device that LibTorch knows.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <string>

#include "common/error.hpp"

namespace guda::worker {

/// The device computes wrongly or not at all.
struct DeviceError : Error {
  using Error::Error;
  [[nodiscard]] ErrorClass error_class() const noexcept override { return ErrorClass::device; }
};

/// Takes memory, computes there and compares with what the host knows: integers bit by bit, a product of matrices of
/// small whole numbers, which has one exact result in any order and in any format. Milliseconds on the CPU. Throws
/// DeviceError, or what LibTorch throws. `multiply`, for tests, is the product that is tried.
using Multiply = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;
void check_device(torch::Device device, const Multiply& multiply = {});

/// ECC errors of the GPU that this process is pinned to (CUDA_VISIBLE_DEVICES), as a line for the log; "" where there
/// are none or nobody knows.
[[nodiscard]] std::string memory_errors_of(torch::Device device);

/// Bytes of the device's own memory; 0 for the CPU, whose memory is common/memory.hpp's.
[[nodiscard]] std::uint64_t device_memory(torch::Device device);
/// Bytes that tensors may still take there: free ones, and those that LibTorch keeps for tensors to come; 0 for the CPU.
[[nodiscard]] std::uint64_t free_device_memory(torch::Device device);
/// Most bytes that tensors had there at once since reset_device_peak(); 0 for the CPU.
[[nodiscard]] std::uint64_t device_peak(torch::Device device);
void reset_device_peak(torch::Device device);
/// Waits for what was asked of it.
void synchronize(torch::Device device);

/// Bytes for models that are kept loaded: `gigabytes` (1e9) if not 0, else half of what a worker has when `sharers`
/// share the device, or the host's memory.
[[nodiscard]] std::uint64_t model_budget(torch::Device device, double gigabytes, std::uint32_t sharers);

}  // namespace guda::worker
