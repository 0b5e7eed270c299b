// The kernels of worker/cuda/noise.cuh and images.cuh, run on this CPU.
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <bit>
#include <cstdint>
#include <vector>

#include "tests/support/cuda_on_cpu.hpp"
// clang-format off
#include "worker/cuda/images.cuh"
#include "worker/cuda/noise.cuh"
// clang-format on
#include "worker/diffusion/noise.hpp"
#include "worker/training/images.hpp"

namespace guda::worker {
namespace {

using cuda_on_cpu::launch;

unsigned blocks(std::int64_t count, std::int64_t each) { return static_cast<unsigned>((count + each - 1) / each); }

std::vector<float> cpu_noise(std::uint64_t seed, std::uint64_t id, std::uint32_t t, std::uint32_t draw, std::size_t n) {
  std::vector<float> noise(n);
  fill_normal(seed, id, t, draw, noise);
  return noise;
}

const std::vector<cuda::NoisedRow> kRows{{0x123456789ABCDEFULL, 17U << 16 | 2U, 1, 0.75F, 0.66F, 1.0F, 2},
                                         {7, 999U << 16, 0, 0.125F, 0.99F, -1.0F, 0},
                                         {7, 999U << 16, 0, 0.125F, 0.99F, 1.0F, cuda::kNowhere}};

}  // namespace

TEST_CASE("cuda noise: a kernel's normals have the bits of the CPU's, for every length") {
  for (const std::int64_t n : {1L, 4L, 1023L, 1026L, 5000L}) {
    std::vector<float> out(static_cast<std::size_t>(n) + 1, -9.0F);
    launch({blocks(n, 4 * cuda::kNoiseThreads)}, cuda::kNoiseThreads, [&] {
      cuda::fill_normal_kernel(normal::stream_of(0xFEDCBA9876543210ULL, 42, 7U << 16 | 3U), n, out.data());
    });
    const auto want = cpu_noise(0xFEDCBA9876543210ULL, 42, 7, 3, static_cast<std::size_t>(n));
    CHECK(std::equal(want.begin(), want.end(), out.begin(), [](float a, float b) {
      return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
    }));
    CHECK(out.back() == -9.0F);
  }
}

TEST_CASE("cuda noise: every row has its own query, slot and sign") {
  constexpr std::size_t kSize = 1030;
  std::vector<float> out(kRows.size() * kSize);
  launch({blocks(kSize, 4 * cuda::kNoiseThreads), 3}, cuda::kNoiseThreads,
         [&] { cuda::fill_rows_kernel(5, kRows.data(), kSize, out.data()); });
  for (std::size_t row = 0; row < kRows.size(); ++row) {
    const cuda::NoisedRow& r = kRows[row];
    const auto want = cpu_noise(5, r.query_id, r.slot >> 16, r.slot & 0xFFFFU, kSize);
    for (std::size_t i = 0; i < kSize; ++i) REQUIRE(out[row * kSize + i] == r.sign * want[i]);
  }
}

TEST_CASE("cuda noise: a batch to be scored is what the CPU makes of it, bit for bit") {
  constexpr std::size_t kSize = 18;
  std::vector<float> clean(2 * kSize), x_t(3 * kSize), gamma(3), sigma(3);
  for (std::size_t i = 0; i < clean.size(); ++i) clean[i] = static_cast<float>(i) / 20 - 0.8F;
  std::vector<std::int64_t> timesteps(3), images(3);
  const cuda::RowInputs inputs{x_t.data(), timesteps.data(), images.data(), gamma.data(), sigma.data()};
  launch({1, 3}, cuda::kNoiseThreads, [&] { cuda::noised_rows_kernel(5, kRows.data(), kSize, clean.data(), inputs); });
  CHECK(timesteps == std::vector<std::int64_t>{17, 999, 999});
  CHECK(images == std::vector<std::int64_t>{1, 0, 0});
  CHECK(gamma == std::vector{0.75F, 0.125F, 0.125F});
  CHECK(sigma == std::vector{0.66F, 0.99F, 0.99F});
  for (std::size_t row = 0; row < 3; ++row) {
    const cuda::NoisedRow& r = kRows[row];
    const auto noise = cpu_noise(5, r.query_id, r.slot >> 16, r.slot & 0xFFFFU, kSize);
    for (std::size_t i = 0; i < kSize; ++i)
      REQUIRE(x_t[row * kSize + i] == r.scale * clean[r.image * kSize + i] + r.spread * (r.sign * noise[i]));
  }
}

TEST_CASE("cuda noise: squared errors are sums in float64 over noise made on the way, in both layouts and types") {
  constexpr std::int64_t kChannels = 3, kPixels = 441, kSize = kChannels * kPixels;
  torch::manual_seed(3);
  const torch::Tensor predicted = torch::randn({3, kChannels, kPixels});
  const torch::Tensor last = predicted.transpose(1, 2).contiguous();
  const torch::Tensor half = predicted.to(torch::kBFloat16);
  std::vector<double> want(3), want_half(3);
  for (std::size_t row = 0; row < 3; ++row) {
    const cuda::NoisedRow& r = kRows[row];
    const auto noise = cpu_noise(5, r.query_id, r.slot >> 16, r.slot & 0xFFFFU, kSize);
    const torch::Tensor one = predicted[static_cast<std::int64_t>(row)].flatten();
    const torch::Tensor rounded = half[static_cast<std::int64_t>(row)].flatten().to(torch::kFloat);
    for (std::int64_t i = 0; i < kSize; ++i) {
      const double d = double(r.sign * noise[static_cast<std::size_t>(i)]) - one.data_ptr<float>()[i];
      const double h = double(r.sign * noise[static_cast<std::size_t>(i)]) - rounded.data_ptr<float>()[i];
      want[row] += d * d;
      want_half[row] += h * h;
    }
  }
  const auto errors = [&](const auto* values, const cuda::RowLayout& layout) {
    std::vector<float> results(3, -1.0F);
    launch({3}, cuda::kNoiseThreads,
           [&] { cuda::squared_errors_kernel(5, kRows.data(), values, layout, results.data()); });
    return results;
  };
  const auto first = errors(predicted.const_data_ptr<float>(), {kChannels, kPixels, kPixels, 1});
  CHECK(errors(last.const_data_ptr<float>(), {kChannels, kPixels, 1, kChannels}) == first);
  CHECK(first[2] == doctest::Approx(want[0]).epsilon(2e-7));
  CHECK(first[0] == doctest::Approx(want[1]).epsilon(2e-7));
  CHECK(first[1] == -1.0F);  // a row that only fills the batch goes nowhere
  const auto halves = errors(reinterpret_cast<const cuda::Bf16*>(half.const_data_ptr<at::BFloat16>()),
                             {kChannels, kPixels, kPixels, 1});
  CHECK(halves[2] == doctest::Approx(want_half[0]).epsilon(2e-7));
}

TEST_CASE("cuda images: gathered, scaled and mirrored as on the CPU, bit for bit") {
  jobs::Dataset dataset;
  dataset.shape = {3, 5, 7};
  dataset.levels = 256;
  for (std::size_t i = 0; i < 4 * 3 * 5 * 7; ++i) dataset.pixels.push_back(static_cast<std::uint8_t>(i * 37 + 11));
  const std::vector<std::uint32_t> items{3, 0, 3};
  const torch::Tensor want = gather_images(dataset, items, {true, false, false});
  const std::vector<std::int64_t> wide(items.begin(), items.end());
  const std::vector<std::uint8_t> flips{1, 0, 0};
  torch::Tensor out = torch::full_like(want, -9);
  const cuda::PixelValues values = [&] {
    cuda::PixelValues v{};
    const auto table = pixel_values(dataset.levels);
    std::copy(table.begin(), table.end(), v.value);
    return v;
  }();
  launch({blocks(105, cuda::kImageThreads), 3}, cuda::kImageThreads, [&] {
    cuda::gather_images_kernel(dataset.pixels.data(), wide.data(), flips.data(), 15, 7, values, out.data_ptr<float>());
  });
  CHECK(torch::equal(out, want));
}

}  // namespace guda::worker
