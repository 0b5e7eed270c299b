#include "worker/diffusion/noise.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "common/digest.hpp"
#include "common/error.hpp"

using guda::worker::fill_normal;
using guda::worker::philox4x32;

namespace {

std::vector<float> normals(std::size_t count, std::uint64_t seed = 1, std::uint64_t query = 2, std::uint32_t t = 3,
                           std::uint32_t draw = 4) {
  std::vector<float> out(count);
  fill_normal(seed, query, t, draw, out);
  return out;
}

double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum / static_cast<double>(a.size());
}

}  // namespace

TEST_CASE("noise: Philox gives the known answers of Random123") {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("noise: elements are Box-Muller of the documented counter, to float precision") {
  const std::uint64_t seed = 0x0123456789abcdefULL, query = 0xfedcba9876543210ULL;
  const std::vector<float> z = normals(4096, seed, query, 65535, 12);
  for (std::uint32_t block = 0; block < 1024; ++block) {
    const auto w = philox4x32({block, 0x76543210U, 0xfedcba98U, 65535U << 16 | 12U}, {0x89abcdefU, 0x01234567U});
    for (int pair = 0; pair < 2; ++pair) {
      const double u = ((w[2 * pair] >> 1) + 0.5) * 0x1p-31, angle = w[2 * pair + 1] * (2 * M_PI * 0x1p-32);
      const double radius = std::sqrt(-2 * std::log(u));
      CHECK(std::abs(z[4 * block + 2 * pair] - radius * std::cos(angle)) < 4e-6);
      CHECK(std::abs(z[4 * block + 2 * pair + 1] - radius * std::sin(angle)) < 4e-6);
    }
  }
}

TEST_CASE("noise: a shorter request gets a prefix of a longer one") {
  const std::vector<float> all = normals(1000);
  for (const std::size_t count : {0U, 1U, 3U, 4U, 5U, 63U, 64U, 65U, 127U, 999U}) {
    const std::vector<float> some = normals(count);
    CHECK(std::equal(some.begin(), some.end(), all.begin()));
  }
}

TEST_CASE("noise: the bits are those recorded") {
  const std::vector<float> z = normals(100003, 42, guda::query_id("generated/s0/0007"), 990, 1);
  const std::string_view bytes(reinterpret_cast<const char*>(z.data()), z.size() * sizeof(float));
  CHECK(guda::digest_of(bytes).hex == "c624a06ca38f9174b6639c8c197b7bac");
}

TEST_CASE("noise: a million numbers have the moments of the normal distribution") {
  constexpr std::size_t n = 1 << 20;
  for (std::uint64_t query = 0; query < 4; ++query) {
    double sum = 0, square = 0, cube = 0, fourth = 0;
    std::size_t beyond_2 = 0;
    for (const float z : normals(n, 11, query)) {
      sum += z;
      square += z * z;
      cube += std::pow(z, 3);
      fourth += std::pow(z, 4);
      beyond_2 += std::abs(z) > 2;
    }
    // Five standard errors each.
    const double unit = 5 / std::sqrt(static_cast<double>(n));
    CHECK(std::abs(sum / n) < unit);
    CHECK(std::abs(square / n - 1) < unit * std::sqrt(2.0));
    CHECK(std::abs(cube / n) < unit * std::sqrt(15.0));
    CHECK(std::abs(fourth / n - 3) < unit * std::sqrt(96.0));
    CHECK(std::abs(beyond_2 / static_cast<double>(n) - 0.0455003) < unit * std::sqrt(0.0455 * 0.9545));
  }
}

TEST_CASE("noise: seeds, queries, timesteps, draws and neighbours are uncorrelated") {
  constexpr std::size_t n = 1 << 18;
  const double bound = 5 / std::sqrt(static_cast<double>(n));
  const std::vector<float> base = normals(n);
  CHECK(std::abs(correlation(base, normals(n, 2))) < bound);
  CHECK(std::abs(correlation(base, normals(n, 1ULL << 32 | 1))) < bound);
  CHECK(std::abs(correlation(base, normals(n, 1, 3))) < bound);
  CHECK(std::abs(correlation(base, normals(n, 1, 1ULL << 32 | 2))) < bound);
  CHECK(std::abs(correlation(base, normals(n, 1, 2, 4))) < bound);
  CHECK(std::abs(correlation(base, normals(n, 1, 2, 3, 5))) < bound);
  for (const std::size_t lag : {1U, 2U, 3U, 4U, 64U}) {
    const std::vector<float> shifted(base.begin() + static_cast<std::ptrdiff_t>(lag), base.end());
    CHECK(std::abs(correlation(shifted, {base.begin(), base.end() - static_cast<std::ptrdiff_t>(lag)})) < bound);
  }
}

TEST_CASE("noise: timesteps and draws beyond 16 bits are refused") {
  std::vector<float> out(4);
  CHECK_THROWS_AS(fill_normal(0, 0, 65536, 0, out), guda::Error);
  CHECK_THROWS_AS(fill_normal(0, 0, 0, 65536, out), guda::Error);
}
