#include "worker/diffusion/noise.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "tests/gpu/gpu.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/device/gpu_ops.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/images.hpp"
#include "worker/training/streams.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("gpu noise: the bits of the CPU's, of a long stream and of short ones") {
  const torch::Device device = test::gpu();
  for (const std::int64_t n : {1L, 3L, 1'000'003L}) {
    const torch::Tensor cpu = draw_noise(SeedPath(4) / "x", 17, {n}),
                        gpu = draw_noise(SeedPath(4) / "x", 17, {n}, device);
    CHECK(torch::equal(gpu.cpu(), cpu));
  }
}

TEST_CASE("gpu noise: rows of queries, slots and signs; their squared errors") {
  const torch::Device device = test::gpu();
  if (device.is_cpu()) return;
  constexpr std::int64_t kRows = 5;
  torch::Tensor pinned = gpu::pinned_rows(kRows), table = gpu::device_rows(kRows, device);
  auto rows = gpu::rows_in(pinned);
  for (std::uint32_t i = 0; i < kRows; ++i)
    rows[i] = {1000ULL * i,
               (90 * i) << 16 | i,
               i % 2,
               0.5F,
               0.8F,
               i % 2 == 0 ? 1.0F : -1.0F,
               static_cast<std::uint32_t>(kRows) - 1 - i};
  table.copy_(pinned);
  torch::Tensor noise = torch::empty({kRows, 3, 9, 9}, device), want = torch::empty({kRows, 3, 9, 9});
  gpu::fill_rows(8, table, kRows, noise);
  for (std::uint32_t i = 0; i < kRows; ++i) {
    fill_normal(8, 1000ULL * i, 90 * i, i, {want.data_ptr<float>() + i * 243, 243});
    if (i % 2 != 0) want[i].neg_();
  }
  CHECK(torch::equal(noise.cpu(), want));

  const torch::Tensor clean = draw_noise(SeedPath(1), 0, {2, 3, 9, 9});
  gpu::BatchInputs inputs = gpu::make_inputs(kRows, {3, 9, 9}, device);
  const torch::Tensor there = clean.to(device);
  gpu::noised_rows(8, table, there, inputs);
  const torch::Tensor which = torch::arange(kRows) % 2;
  CHECK(torch::equal(inputs.x_t.cpu(), 0.5F * clean.index_select(0, which) + 0.8F * want));
  CHECK(torch::equal(inputs.images.cpu(), which));
  CHECK(torch::equal(inputs.timesteps.cpu(), 90 * torch::arange(kRows)));

  const torch::Tensor predicted = draw_noise(SeedPath(2), 0, {kRows, 3, 9, 9});
  const torch::Tensor expected = (want - predicted).to(torch::kFloat64).square().sum({1, 2, 3}).flip({0});
  for (const torch::Tensor& layout : {predicted.to(device), test::last(predicted.to(device))}) {
    torch::Tensor results = torch::zeros({kRows}, device);
    gpu::squared_errors(8, table, layout, results);
    CHECK(test::difference(results, expected) < 1e-6);
  }
}

TEST_CASE("gpu images: resident bytes become the CPU's numbers, mirrored or not") {
  const jobs::Dataset data = test::tiny_dataset();
  Examples examples(data);
  examples.move_to(test::gpu());
  const std::vector<std::uint32_t> items{5, 0, 17, 5};
  const std::vector<bool> flips{true, false, true, false};
  CHECK(torch::equal(examples.pixels(items, flips).cpu(), gather_images(data, items, flips)));
  CHECK(torch::equal(examples.pixels(items).cpu(), gather_images(data, items)));
}
