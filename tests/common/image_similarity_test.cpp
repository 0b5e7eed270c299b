#include "common/image_similarity.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "common/error.hpp"

namespace guda {

TEST_CASE("SSIM of a picture with itself is 1, of flat pictures that of their luminance") {
  const PictureShape shape{2, 9, 8};
  std::vector<float> ramp(shape.size());
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = std::sin(static_cast<float>(i));
  CHECK(ssim(ramp, ramp, shape) == doctest::Approx(1).epsilon(1e-12));
  const std::vector<float> a(shape.size(), 0.5F), b(shape.size(), 0.25F);
  const double c1 = 0.02 * 0.02;  // (K1 L)^2 of values that span 2
  CHECK(ssim(a, b, shape) == doctest::Approx((2 * 0.125 + c1) / (0.25 + 0.0625 + c1)).epsilon(1e-9));
}

TEST_CASE("SSIM of a pattern with its negative is near -1, and the window stays inside small pictures") {
  const PictureShape shape{1, 4, 4};
  std::vector<float> pattern(16), negative(16);
  for (std::size_t i = 0; i < 16; ++i) pattern[i] = (i / 4 + i % 4) % 2 == 0 ? 1.0F : -1.0F, negative[i] = -pattern[i];
  // Windows of side 3, at each of the four places mean +-m and variance 1 - m^2.
  double weight = 0, of_centre = 0;
  for (int y = -1; y <= 1; ++y) {
    for (int x = -1; x <= 1; ++x) {
      const double w = std::exp(-(x * x + y * y) / 4.5);
      weight += w;
      of_centre += (x + y) % 2 == 0 ? w : -w;
    }
  }
  const double m = of_centre / weight, c1 = 4e-4, c2 = 36e-4;
  const double expected = (-2 * m * m + c1) * (-2 * (1 - m * m) + c2) / ((2 * m * m + c1) * (2 * (1 - m * m) + c2));
  CHECK(ssim(pattern, negative, shape) == doctest::Approx(expected).epsilon(1e-9));
  CHECK_THROWS_AS((void)ssim(pattern, negative, PictureShape{1, 4, 5}), Bug);
}

TEST_CASE("the difference of two pictures is the root of the mean square") {
  const std::vector<float> a{0, 0, 1, 1}, b{1, 0, 1, 0};
  CHECK(rms_difference(a, b) == doctest::Approx(std::sqrt(0.5)));
  CHECK(rms_difference(a, a) == 0);
}

}  // namespace guda
