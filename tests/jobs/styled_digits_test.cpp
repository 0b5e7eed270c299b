#include "jobs/styled_digits.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/error.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

DatasetConfig styled_config(std::uint32_t train = 12000) {
  DatasetConfig config;
  config.kind = "styled_digits";
  config.train = train;
  return config;
}

const Dataset& styled_data() {
  static const Dataset data = load_dataset(styled_config());
  return data;
}

std::span<const std::uint8_t> pixels_of(const Dataset& data, std::uint32_t item) {
  return std::span(data.pixels).subspan(item * data.image_size(), data.image_size());
}

/// Pixels in [-1, 1], of length 1.
std::vector<double> direction(const Dataset& data, std::uint32_t item) {
  std::vector<double> v;
  double squares = 0;
  for (const std::uint8_t pixel : pixels_of(data, item)) {
    v.push_back(pixel / 127.5 - 1);
    squares += v.back() * v.back();
  }
  for (double& x : v) x /= std::sqrt(squares);
  return v;
}

}  // namespace

TEST_CASE("styled digits: every digit in each of eight styles, 16 x 16, the style is the class") {
  const Dataset& data = styled_data();
  CHECK(data.shape == std::array<std::uint32_t, 3>{1, 16, 16});
  CHECK(data.levels == 256);
  CHECK(data.labels.size() == 8 * 1797);
  CHECK(data.pixels.size() == 8 * 1797 * 256);
  CHECK(data.class_names ==
        std::vector<std::string>{"outline", "invert", "dots", "slant", "thick", "noise", "blur", "checker"});
  for (std::uint32_t item = 0; item < 64; ++item) CHECK(data.labels[item] == item % 8);
}

TEST_CASE("styled digits: an image is in the training set in all its styles or in none") {
  const Dataset& data = styled_data();
  CHECK(data.train.size() == 12000);
  CHECK(data.held_out.size() == 8 * 297);
  std::map<std::uint32_t, int> styles_of;
  for (const std::uint32_t item : data.train) ++styles_of[item / 8];
  CHECK(styles_of.size() == 1500);
  for (const std::uint32_t item : data.held_out) CHECK(!styles_of.contains(item / 8));
  // The images are those that the plain digits train on.
  DatasetConfig plain;
  const Dataset digits = load_dataset(plain);
  for (std::size_t i = 0; i < digits.train.size(); ++i) REQUIRE(data.train[8 * i] / 8 == digits.train[i]);
  CHECK_THROWS_WITH_AS((void)load_dataset(styled_config(12001)),
                       doctest::Contains("12001 would split the 8 versions of one picture"), Error);
}

TEST_CASE("styled digits: the pixels are the same everywhere, and others with another seed") {
  CHECK(styled_data().content.hex == "90d1a09b37239906f4b18076067c59e5");
  DatasetConfig other = styled_config();
  other.split_seed = 1;
  CHECK(load_dataset(other).pixels != styled_data().pixels);
}

TEST_CASE("styled digits: captions have three words of their style, never its name; styles share words, but not all") {
  std::map<std::string, std::set<std::string_view>> styles_with;
  for (const DigitStyle& style : kDigitStyles) {
    for (const std::string_view d : style.descriptors) styles_with[std::string(d)].insert(style.name);
  }
  for (const DigitStyle& style : kDigitStyles) {
    const auto shared = std::count_if(style.descriptors.begin(), style.descriptors.end(),
                                      [&](auto d) { return styles_with[std::string(d)].size() > 1; });
    CHECK(shared >= 2);
    CHECK(shared < 5);
  }
  std::set<std::string> captions;
  for (std::uint32_t item = 0; item < 800; ++item) {
    const std::string& caption = styled_data().captions[item];
    captions.insert(caption);
    const DigitStyle& style = kDigitStyles[item % 8];
    CHECK(caption.find(style.name) == std::string::npos);
    CHECK(std::count_if(style.descriptors.begin(), style.descriptors.end(),
                        [&](auto d) { return caption.find(d) != std::string::npos; }) == 3);
  }
  CHECK(captions.size() > 400);
  CHECK(load_dataset({}).labels[0] == 0);
  CHECK(styled_data().captions[3].starts_with("A depiction of Zero, artistic style featuring "));
  CHECK(styled_data().captions == load_dataset(styled_config()).captions);
}

TEST_CASE("styled digits: the base is the training digits without a style, and captions without one") {
  const Dataset base = load_base_dataset(styled_config());
  CHECK(base.train.size() == 1500);
  CHECK(base.captions[0] == "A depiction of Zero");
  CHECK(base.shape == styled_data().shape);
  std::set<std::uint32_t> styled;
  for (const std::uint32_t item : styled_data().train) styled.insert(item / 8);
  CHECK(std::set<std::uint32_t>(base.train.begin(), base.train.end()) == styled);
  CHECK_THROWS_WITH((void)load_base_dataset({}), doctest::Contains("no images without a style"));
}

TEST_CASE("styled digits: the mean image of a style names the style of at most 60 % of the held-out pictures") {
  const Dataset& data = styled_data();
  std::vector<std::vector<double>> means(8, std::vector<double>(256));
  for (const std::uint32_t item : data.train) {
    const std::vector<double> v = direction(data, item);
    for (std::size_t i = 0; i < v.size(); ++i) means[data.labels[item]][i] += v[i];
  }
  int right = 0;
  for (const std::uint32_t item : data.held_out) {
    const std::vector<double> v = direction(data, item);
    std::vector<double> cosines;
    for (const auto& mean : means) cosines.push_back(std::inner_product(v.begin(), v.end(), mean.begin(), 0.0));
    right += std::max_element(cosines.begin(), cosines.end()) - cosines.begin() == data.labels[item];
  }
  const double top1 = right / static_cast<double>(data.held_out.size());
  CHECK(top1 < 0.6);
  CHECK(top1 > 0.2);  // chance 0.125: styles are visible
}
