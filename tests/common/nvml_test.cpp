#include "common/nvml.hpp"

#include <doctest/doctest.h>

namespace guda {

TEST_CASE("nvml: uncorrected memory errors of a GPU, and of the one that a MIG slice is part of") {
  const Nvml nvml(GUDA_BINARY_DIR "/tests/libguda_fake_nvml.so");
  REQUIRE(nvml.there());
  CHECK(nvml.uncorrected_errors("GPU-sound") == 0);
  CHECK(nvml.uncorrected_errors("GPU-sick") == 3);
  CHECK(nvml.uncorrected_errors("MIG-slice") == 3);
  CHECK_FALSE(nvml.uncorrected_errors("GPU-other").has_value());
}

TEST_CASE("nvml: where there is no driver nothing is known") {
  const Nvml nvml("/no/such/libnvidia-ml.so.1");
  CHECK_FALSE(nvml.there());
  CHECK_FALSE(nvml.uncorrected_errors("GPU-sound").has_value());
}

}  // namespace guda
