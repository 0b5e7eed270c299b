#include "worker/device/device_health.hpp"

#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "common/memory.hpp"
#include "common/nvml.hpp"

namespace guda::worker {
namespace {

c10::DeviceIndex index_of(torch::Device device) { return device.has_index() ? device.index() : c10::DeviceIndex(0); }

}  // namespace

void check_device(torch::Device device, const Multiply& multiply) {
  const torch::NoGradGuard no_grad;
  // Multiplied and folded as a checksum: a bit that is lost on the way shows in the sum.
  constexpr std::int64_t kCount = 1 << 18, kFactor = 2654435761, kMask = (1LL << 31) - 1;
  const torch::Tensor numbers = torch::arange(kCount, torch::TensorOptions().dtype(torch::kInt64).device(device));
  const auto sum = ((numbers * kFactor).bitwise_and(kMask)).bitwise_xor(numbers).sum().item<std::int64_t>();
  std::int64_t expected = 0;
  for (std::int64_t i = 0; i < kCount; ++i) expected += ((i * kFactor) & kMask) ^ i;
  if (sum != expected) {
    throw DeviceError(
        fmt::format("{} sums to {} what sums to {}: it computes wrongly. Cure: exclude the node, have "
                    "the device checked",
                    device.str(), sum, expected));
  }
  constexpr std::int64_t kSide = 256;
  const torch::Tensor a = (torch::arange(kSide * kSide).view({kSide, kSide}) % 13 - 6).to(torch::kFloat32),
                      b = (torch::arange(kSide * kSide).view({kSide, kSide}) % 7 - 3).to(torch::kFloat32);
  const torch::Tensor there_a = a.to(device), there_b = b.to(device);
  const torch::Tensor product = (multiply ? multiply(there_a, there_b) : torch::mm(there_a, there_b)).to(torch::kCPU);
  const torch::Tensor exact = torch::mm(a.to(torch::kInt64), b.to(torch::kInt64));
  if (const auto wrong = (product.to(torch::kInt64) != exact).sum().item<std::int64_t>(); wrong > 0) {
    throw DeviceError(fmt::format(
        "{} of {} numbers of a product of matrices are wrong on {}. Cure: exclude the node, have the device checked",
        wrong, kSide * kSide, device.str()));
  }
}

std::string memory_errors_of(torch::Device device) {
  const char* uuid = std::getenv("CUDA_VISIBLE_DEVICES");
  if (!device.is_cuda() || uuid == nullptr) return "";
  const auto errors = Nvml().uncorrected_errors(uuid);
  return errors && *errors > 0
             ? fmt::format("{} has {} uncorrected memory errors since its driver was loaded", uuid, *errors)
             : "";
}

std::uint64_t device_memory(torch::Device device) {
  return device.is_cpu() ? 0 : at::accelerator::getMemoryInfo(index_of(device)).second;
}

std::uint64_t free_device_memory(torch::Device device) {
  if (device.is_cpu()) return 0;
  const auto stats = at::accelerator::getDeviceStats(index_of(device));
  const auto kept = stats.reserved_bytes[0].current - stats.allocated_bytes[0].current;
  return at::accelerator::getMemoryInfo(index_of(device)).first + static_cast<std::uint64_t>(kept);
}

std::uint64_t device_peak(torch::Device device) {
  if (device.is_cpu()) return 0;
  const auto stats = at::accelerator::getDeviceStats(index_of(device));
  return static_cast<std::uint64_t>(stats.allocated_bytes[0].peak);  // of all pools together
}

void reset_device_peak(torch::Device device) {
  if (!device.is_cpu()) at::accelerator::resetPeakStats(index_of(device));
}

void synchronize(torch::Device device) {
  if (!device.is_cpu()) at::accelerator::synchronizeDevice(index_of(device));
}

std::uint64_t model_budget(torch::Device device, double gigabytes, std::uint32_t sharers) {
  if (gigabytes > 0) return static_cast<std::uint64_t>(gigabytes * 1e9);
  const double all = device.is_cpu() ? free_memory() : double(device_memory(device));
  return static_cast<std::uint64_t>(all / 2 / std::max(1U, sharers));
}

}  // namespace guda::worker
