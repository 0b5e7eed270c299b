#include <doctest/doctest.h>

#include <exception>

#include "tests/gpu/gpu.hpp"
#include "worker/failure.hpp"
#include "worker/memory_check.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("gpu memory: more than the device has is out_of_memory, and the device goes on") {
  const torch::Device device = test::gpu();
  if (device.is_cpu()) return;
  const auto floats = static_cast<std::int64_t>(device_memory(device) / 4 + 1);
  Failure failure;
  try {
    (void)torch::empty({floats}, device);
  } catch (...) {
    failure = describe_failure(std::current_exception());
  }
  CHECK(failure.error == ErrorClass::out_of_memory);
  CHECK(torch::ones({1000}, device).sum().item<float>() == 1000);
  CHECK(device_peak(device) >= 4000);
}

TEST_CASE("gpu memory: what tensors have freed can be had again, though LibTorch keeps it") {
  const torch::Device device = test::gpu();
  if (device.is_cpu()) return;
  constexpr double kBytes = 256 << 20;
  const double before = usable_memory(device);
  {
    const torch::Tensor held =
        torch::empty({std::int64_t(kBytes)}, torch::TensorOptions().dtype(torch::kByte).device(device));
    CHECK(usable_memory(device) < before - kBytes / 2);
  }
  CHECK(usable_memory(device) > before - kBytes / 2);
}
