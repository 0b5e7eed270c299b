#include "worker/device/device_health.hpp"

#include <doctest/doctest.h>

using namespace guda;
using namespace guda::worker;

TEST_CASE("device: a sound one passes its check, one that drops a bit is found out") {
  CHECK_NOTHROW(check_device(torch::kCPU));
  const auto broken = [](const torch::Tensor& a, const torch::Tensor& b) {
    torch::Tensor product = torch::mm(a, b);
    product[17][200] += 1;
    return product;
  };
  try {
    check_device(torch::kCPU, broken);
    FAIL("nobody noticed");
  } catch (const DeviceError& e) {
    CHECK(e.error_class() == ErrorClass::device);
    CHECK(std::string(e.what()).find("1 of 65536 numbers of a product of matrices are wrong on cpu. Cure:") == 0);
  }
}

TEST_CASE("device: the memory for resident models is what was asked for, or a share of what there is") {
  CHECK(model_budget(torch::kCPU, 2.5, 4) == 2'500'000'000);
  const std::uint64_t alone = model_budget(torch::kCPU, 0, 1), shared = model_budget(torch::kCPU, 0, 4);
  CHECK(alone > 100'000'000);
  CHECK(double(shared) == doctest::Approx(double(alone) / 4).epsilon(0.2));
  CHECK(device_memory(torch::kCPU) == 0);
  CHECK(device_peak(torch::kCPU) == 0);
}
