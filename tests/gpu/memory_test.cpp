#include <doctest/doctest.h>

#include <exception>

#include "tests/gpu/gpu.hpp"
#include "worker/failure.hpp"

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
