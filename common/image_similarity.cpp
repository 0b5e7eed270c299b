#include "common/image_similarity.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/error.hpp"

namespace guda {
namespace {

constexpr std::uint32_t kWindowSide = 11;
constexpr double kWindowDeviation = 1.5, kValueRange = 2, kLuminance = 0.01, kContrast = 0.03;

std::vector<double> gaussian_window(std::uint32_t side) {
  std::vector<double> window(side);
  double sum = 0;
  for (std::uint32_t i = 0; i < side; ++i) {
    const double x = i - (side - 1) / 2.0;
    sum += window[i] = std::exp(-x * x / (2 * kWindowDeviation * kWindowDeviation));
  }
  for (double& w : window) w /= sum;
  return window;
}

/// Weighted moments of two pictures in one window.
struct WindowMoments {
  double a = 0, b = 0, aa = 0, bb = 0, ab = 0;

  void add(double weight, double x, double y) {
    a += weight * x;
    b += weight * y;
    aa += weight * x * x;
    bb += weight * y * y;
    ab += weight * x * y;
  }
  [[nodiscard]] double similarity() const {
    const double c1 = std::pow(kLuminance * kValueRange, 2), c2 = std::pow(kContrast * kValueRange, 2);
    return (2 * a * b + c1) * (2 * (ab - a * b) + c2) / ((a * a + b * b + c1) * (aa - a * a + bb - b * b + c2));
  }
};

}  // namespace

double ssim(std::span<const float> a, std::span<const float> b, const PictureShape& shape) {
  if (a.size() != shape.size() || b.size() != shape.size() || shape.size() == 0)
    throw Bug("ssim: the pictures do not have the shape");
  const std::uint32_t fits = std::min({kWindowSide, shape.height, shape.width}), side = fits - (fits + 1) % 2;
  const std::vector<double> window = gaussian_window(side);
  double sum = 0;
  for (std::uint32_t c = 0; c < shape.channels; ++c) {
    for (std::uint32_t top = 0; top + side <= shape.height; ++top) {
      for (std::uint32_t left = 0; left + side <= shape.width; ++left) {
        WindowMoments moments;
        for (std::uint32_t y = 0; y < side; ++y) {
          for (std::uint32_t x = 0; x < side; ++x) {
            const std::size_t at = (std::size_t{c} * shape.height + top + y) * shape.width + left + x;
            moments.add(window[y] * window[x], a[at], b[at]);
          }
        }
        sum += moments.similarity();
      }
    }
  }
  return sum / (double(shape.channels) * (shape.height - side + 1) * (shape.width - side + 1));
}

double rms_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size() || a.empty()) throw Bug("rms_difference: pictures of different sizes");
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

}  // namespace guda
