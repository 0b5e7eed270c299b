// Alone in its process: the error that it makes stays.
#include <doctest/doctest.h>

#include <exception>

#include "tests/gpu/gpu.hpp"
#include "worker/failure.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("gpu errors: a kernel that asserts is a device error, then and for whatever follows") {
  const torch::Device device = test::gpu();
  if (device.is_cpu()) return;
  const auto failure_of = [](const auto& work) {
    try {
      work();
    } catch (...) {
      return describe_failure(std::current_exception()).error;
    }
    return ErrorClass::none;
  };
  const torch::Tensor table = torch::ones({4}, device),
                      beyond = torch::full({1}, 1000, torch::TensorOptions().dtype(torch::kLong).device(device));
  CHECK(failure_of([&] {
          (void)table.index({beyond});
          synchronize(device);
        }) == ErrorClass::device);
  CHECK(failure_of([&] { (void)torch::ones({1}, device).item<float>(); }) == ErrorClass::device);
}
