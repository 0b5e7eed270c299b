#include "worker/attribution/controls.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <set>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/images.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Digits {
  jobs::Dataset data = jobs::load_dataset({});
  std::vector<jobs::RemovalSet> groups;
  torch::Tensor queries;
  std::vector<std::string> names;
  Digits() {
    for (std::uint32_t label = 0; label < 10; ++label)
      groups.push_back({"group " + std::to_string(label), test::items_of(data, label)});
    queries = gather_images(data, data.held_out);
    for (std::size_t i = 0; i < data.held_out.size(); ++i) names.push_back("real/" + std::to_string(i));
  }
  /// Share of the held-out digits whose best group is their own class.
  [[nodiscard]] double accuracy(const std::vector<double>& scores) const {
    double right = 0;
    for (std::size_t q = 0; q < names.size(); ++q) {
      const auto row = scores.begin() + static_cast<std::ptrdiff_t>(q * 10);
      right += std::max_element(row, row + 10) - row == data.labels[data.held_out[q]];
    }
    return right / static_cast<double>(names.size());
  }
};

}  // namespace

TEST_CASE("controls: nearest pixels name the class of a real digit, the mean cosine mostly, chance does not") {
  const Digits digits;
  CHECK(digits.accuracy(knn_scores(digits.queries, digits.data, digits.groups, 5)) > 0.95);
  const double cosine = digits.accuracy(pixel_cosine_scores(digits.queries, digits.data, digits.groups));
  CHECK(cosine > 0.75);
  CHECK(cosine < 0.97);
  CHECK(digits.accuracy(random_scores(0, digits.names, digits.groups)) < 0.2);
}

TEST_CASE("controls: cosine and distance are those of the definition") {
  const jobs::Dataset data = test::tiny_dataset();
  const std::vector<jobs::RemovalSet> groups{{"a", {data.train[0], data.train[1], data.train[2]}}};
  const torch::Tensor query = gather_images(data, std::span(data.held_out).first(1));
  const torch::Tensor items = gather_images(data, groups[0].items).flatten(1).to(torch::kFloat64);
  const torch::Tensor q = query.flatten().to(torch::kFloat64);
  const double cosine = torch::cosine_similarity(items, q.unsqueeze(0), 1).mean().item<double>();
  CHECK(pixel_cosine_scores(query, data, groups)[0] == doctest::Approx(cosine).epsilon(1e-6));
  const torch::Tensor distances = std::get<0>((items - q).square().sum(1).sqrt().sort());
  CHECK(knn_scores(query, data, groups, 2)[0] ==
        doctest::Approx(-distances.narrow(0, 0, 2).mean().item<double>()).epsilon(1e-6));
  CHECK(knn_scores(query, data, groups, 50)[0] == doctest::Approx(-distances.mean().item<double>()).epsilon(1e-6));
}

TEST_CASE("controls: a random score depends on seed, query name and group label only") {
  const std::vector<std::string> names{"a", "b"}, other{"b"};
  const std::vector<jobs::RemovalSet> groups{{"x", {1}}, {"y", {2}}}, swapped{{"y", {2}}, {"x", {1}}};
  const auto scores = random_scores(1, names, groups);
  CHECK(std::set(scores.begin(), scores.end()).size() == 4);
  CHECK(random_scores(1, other, groups)[0] == scores[2]);
  CHECK(random_scores(1, names, swapped)[0] == scores[1]);
  CHECK(random_scores(2, names, groups)[0] != scores[0]);
  for (const double score : scores) CHECK((score >= 0 && score < 1));
}

TEST_CASE("controls: the method picks the control, an unknown one and k = 0 are refused") {
  const jobs::Dataset data = test::tiny_dataset();
  const std::vector<jobs::RemovalSet> groups{{"a", test::items_of(data, 1)}, {"b", test::items_of(data, 2)}};
  const torch::Tensor queries = gather_images(data, std::span(data.held_out).first(3));
  const std::vector<std::string> names{"0", "1", "2"};
  jobs::AttributeSpec spec;
  spec.method = "knn";
  spec.k = 3;
  CHECK(control_scores(spec, queries, names, data, groups) == knn_scores(queries, data, groups, 3));
  spec.method = "pixel_cosine";
  CHECK(control_scores(spec, queries, names, data, groups) == pixel_cosine_scores(queries, data, groups));
  spec.method = "random";
  spec.seed = 4;
  CHECK(control_scores(spec, queries, names, data, groups) == random_scores(4, names, groups));
  spec.method = "clip";
  CHECK_THROWS_WITH_AS((void)control_scores(spec, queries, names, data, groups), doctest::Contains("clip"), Error);
  CHECK_THROWS_AS((void)knn_scores(queries, data, groups, 0), Error);
}
