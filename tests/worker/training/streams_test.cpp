#include "worker/training/streams.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/images.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

std::vector<std::uint32_t> numbers(std::uint32_t n) {
  std::vector<std::uint32_t> items(n);
  for (std::uint32_t i = 0; i < n; ++i) items[i] = 100 + i;
  return items;
}

}  // namespace

TEST_CASE("streams: every epoch shows every item once, in another order") {
  ItemStream stream(SeedPath(1), numbers(50));
  std::vector<std::uint32_t> first, second;
  for (std::uint64_t p = 0; p < 50; ++p) first.push_back(stream.item(p));
  for (std::uint64_t p = 50; p < 100; ++p) second.push_back(stream.item(p));
  CHECK(first != second);
  CHECK(std::set(first.begin(), first.end()).size() == 50);
  CHECK(std::set(second.begin(), second.end()).size() == 50);
}

TEST_CASE("streams: a removed item is never shown, and every other position keeps its item") {
  const std::vector<std::uint32_t> removed{100, 107, 120, 149};
  ItemStream all(SeedPath(3), numbers(50)), without(SeedPath(3), numbers(50), removed);
  std::map<std::uint32_t, int> visits;
  int replaced = 0;
  for (std::uint64_t p = 0; p < 5000; ++p) {
    const std::uint32_t expected = all.item(p), got = without.item(p);
    ++visits[got];
    if (std::binary_search(removed.begin(), removed.end(), expected)) {
      ++replaced;
    } else {
      REQUIRE(got == expected);
    }
  }
  CHECK(replaced == 400);
  CHECK(visits.size() == 46);
  for (const std::uint32_t item : removed) CHECK(visits.count(item) == 0);
  for (const auto& [item, count] : visits) CHECK(count >= 100);
}

TEST_CASE("streams: two groups share their replacements unless these are removed themselves") {
  const std::vector<std::uint32_t> small{100, 101}, large{100, 101, 102, 103, 104};
  ItemStream all(SeedPath(9), numbers(50)), a(SeedPath(9), numbers(50), small), b(SeedPath(9), numbers(50), large);
  int shared = 0, positions = 0;
  for (std::uint64_t p = 0; p < 5000; ++p) {
    if (all.item(p) > 101) continue;
    ++positions;
    if (a.item(p) > 104) {
      ++shared;
      REQUIRE(a.item(p) == b.item(p));
    }
  }
  CHECK(positions == 200);
  CHECK(shared > 150);
}

TEST_CASE("streams: positions can be read in any order, and a batch is consecutive positions") {
  ItemStream a(SeedPath(5), numbers(30)), b(SeedPath(5), numbers(30));
  const std::uint32_t late = a.item(95);
  const auto batch = a.batch(2, 8);
  for (std::uint32_t i = 0; i < 8; ++i) CHECK(batch[i] == b.item(16 + i));
  CHECK(b.item(95) == late);
  CHECK(ItemStream(SeedPath(6), numbers(30)).batch(0, 30) != ItemStream(SeedPath(5), numbers(30)).batch(0, 30));
}

TEST_CASE("streams: nothing left to draw is an error") {
  CHECK_THROWS_AS(ItemStream(SeedPath(5), numbers(2), std::vector<std::uint32_t>{100, 101}), Error);
}

TEST_CASE("streams: stratified timesteps put one row into each part of the axis, others anywhere; both are uniform") {
  std::vector<int> counts(10);
  for (std::uint64_t step = 0; step < 500; ++step) {
    const auto t = draw_timesteps(SeedPath(2), step, 20, 1000, true);
    for (std::uint32_t row = 0; row < 20; ++row) REQUIRE(t[row] / 50 == row);
    for (const std::uint32_t value : draw_timesteps(SeedPath(2), step, 20, 1000, false)) ++counts.at(value / 100);
  }
  for (const int count : counts) {
    CHECK(count > 850);  // 1,000 expected, standard deviation 30
    CHECK(count < 1150);
  }
  CHECK(draw_timesteps(SeedPath(2), 7, 20, 1000, true) == draw_timesteps(SeedPath(2), 7, 20, 1000, true));
  CHECK(draw_timesteps(SeedPath(2), 7, 20, 1000, true) != draw_timesteps(SeedPath(2), 8, 20, 1000, true));
}

TEST_CASE("streams: noise is a function of seed and step") {
  const auto noise = draw_noise(SeedPath(4), 3, {16, 1, 8, 8});
  CHECK(torch::equal(noise, draw_noise(SeedPath(4), 3, {16, 1, 8, 8})));
  CHECK_FALSE(torch::equal(noise, draw_noise(SeedPath(4), 4, {16, 1, 8, 8})));
  CHECK_FALSE(torch::equal(noise, draw_noise(SeedPath(5), 3, {16, 1, 8, 8})));
  CHECK(std::abs(noise.mean().item<double>()) < 0.15);
  CHECK(noise.std().item<double>() == doctest::Approx(1).epsilon(0.1));
}

TEST_CASE("images: bytes become [-1, 1] and a flip mirrors left and right only") {
  const jobs::Dataset data = test::tiny_dataset();
  const std::vector<std::uint32_t> items{3, 5};
  const auto plain = gather_images(data, items), flipped = gather_images(data, items, {true, false});
  CHECK((plain.sizes() == torch::IntArrayRef{2, 1, 8, 8}));
  CHECK(plain[0][0][2][5].item<float>() == doctest::Approx(data.pixels[3 * 64 + 21] / 8.0 - 1));
  CHECK(plain.min().item<float>() == -1.0F);
  CHECK(torch::equal(flipped[0], plain[0].flip({2})));
  CHECK(torch::equal(flipped[1], plain[1]));
  CHECK_FALSE(torch::equal(flipped[0], plain[0]));
}
