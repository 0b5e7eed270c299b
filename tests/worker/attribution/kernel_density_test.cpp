#include "worker/attribution/kernel_density.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/tiny_study.hpp"
#include "worker/training/images.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("kernel density: the width is the root mean squared distance to the nearest other item, per pixel") {
  const torch::Tensor items = torch::tensor({{0.F, 0.F}, {3.F, 4.F}, {0.F, 1.F}});
  // Nearest: 1, sqrt(18), 1.
  CHECK(kernel_width(items) == doctest::Approx(std::sqrt((1 + 18 + 1) / 6.0)));
}

TEST_CASE("kernel density: with one item per group the score is that of the two closed-form denoisers") {
  const torch::Tensor items = torch::tensor({{1.F, 0.F}, {-1.F, 0.F}}), query = torch::tensor({{0.9F, 0.1F}});
  const std::vector<std::string> names{"q"};
  const std::vector<std::vector<std::int64_t>> groups{{0}, {1}, {}, {0, 1}};
  const std::vector<DensityLevel> levels{{5, 0.6, 2.0}, {9, 0.2, 0.5}};
  const auto scores = kernel_density_scores(query, names, items, groups, levels, 0.4, 1);
  CHECK(scores[0] > 0);  // the query lies beside item 0
  CHECK(scores[1] < scores[0]);
  CHECK(scores[2] == doctest::Approx(0));  // nobody is missed
  CHECK(scores[3] == 0);
  // Without item 0 the denoiser is that of a single normal around item 1: the loss there is known for any noise, so the
  // sum over both single denoisers does not depend on which group is asked first.
  const std::vector<std::vector<std::int64_t>> swapped{{1}, {0}};
  const auto other = kernel_density_scores(query, names, items, swapped, levels, 0.4, 1);
  CHECK(other[0] == scores[1]);
  CHECK(other[1] == scores[0]);
}

TEST_CASE("kernel density: it names the class of a real digit far more often than chance") {
  const jobs::Dataset data = jobs::load_dataset({});
  std::vector<std::vector<std::int64_t>> groups(10);
  for (std::size_t i = 0; i < data.train.size(); ++i)
    groups[data.labels[data.train[i]]].push_back(static_cast<std::int64_t>(i));
  const auto held_out = std::span(data.held_out).first(60);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < held_out.size(); ++i) names.push_back(std::to_string(i));
  const torch::Tensor items = gather_images(data, data.train).flatten(1);
  const std::vector<DensityLevel> levels{{300, 0.7, 1}, {600, 0.3, 1}};
  const auto scores = kernel_density_scores(gather_images(data, held_out).flatten(1), names, items, groups, levels,
                                            kernel_width(items), 0);
  int right = 0;
  for (std::size_t q = 0; q < names.size(); ++q) {
    const auto row = scores.begin() + static_cast<std::ptrdiff_t>(q * 10);
    right += std::max_element(row, row + 10) - row == data.labels[held_out[q]];
  }
  CHECK(right > 45);
}
