#include "worker/profile/costs.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "common/json.hpp"
#include "worker/profile/trace.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

const Cost& named(const std::vector<Cost>& costs, const std::string& name) {
  for (const Cost& cost : costs) {
    if (cost.name == name) return cost;
  }
  throw std::runtime_error("no cost of " + name);
}

/// Two threads; "block" holds "product" twice and itself once.
std::vector<Span> spans() {
  return {{"product", 1, 1, 2, 2}, {"product", 1, 5, 1, 0.5}, {"block", 1, 4, 3, 2.5},
          {"block", 1, 0, 10, 7},  {"other", 2, 0, 20, 1},    {"product", 1, 12, 1, 1}};
}

}  // namespace

TEST_CASE("costs: own time is without the spans within, total time counts a span within its own name once") {
  const std::vector<Cost> costs = costs_of(spans());
  REQUIRE(costs.size() == 3);
  CHECK(named(costs, "product") == Cost{"product", 3, 3.5, 3.5});
  CHECK(named(costs, "block") == Cost{"block", 2, (7 - 2 - 2.5) + (2.5 - 0.5), 7});
  CHECK(named(costs, "other") == Cost{"other", 1, 1, 1});
  CHECK(costs.front().name == "block");
  CHECK(costs.back().name == "other");
}

TEST_CASE("costs: the order in which spans ended does not matter") {
  std::vector<Span> turned = spans();
  std::reverse(turned.begin(), turned.end());
  CHECK((costs_of(turned) == costs_of(spans())));
}

TEST_CASE("costs: what recording costs is taken off, from a span and from whatever holds it") {
  const std::vector<Cost> costs = costs_of(spans(), {0.25, 0.125});
  CHECK(named(costs, "product") == Cost{"product", 3, 3.5 - 3 * 0.25, 3.5 - 3 * 0.25});
  // The outer block holds three spans, one of them in the inner one; both blocks are spans themselves.
  CHECK(named(costs, "block").own == doctest::Approx(4.5 - 2 * 0.25 - 3 * 0.125));
  CHECK(named(costs, "block").total == doctest::Approx(7 - 0.25 - 3 * 0.375));
}

TEST_CASE("costs: the table shows the largest, sums up the rest and says what no span covers") {
  const std::vector<Cost> costs = costs_of(spans());
  CHECK(uncovered(costs, 10).own == doctest::Approx(1));
  CHECK(uncovered(costs, 5).own == 0);
  const std::string table = cost_table(costs, 2, 2, 20);
  CAPTURE(table);
  CHECK(table.find("5500.000   55.0%   5500.000      0.0  (between operations)") != std::string::npos);
  CHECK(table.find("2250.000   22.5%   3500.000      1.0  block") != std::string::npos);
  CHECK(table.find("2250.000   22.5%                 2.0  (2 others)") != std::string::npos);
  CHECK(table.find("product") == std::string::npos);
}

TEST_CASE("trace: a complete event in microseconds for each span, names escaped") {
  const std::vector<Span> one{{"say \"a\"", 3, 0.5, 0.25, 0.125}};
  const Json trace = Json::parse(chrome_trace(one, "train"));
  REQUIRE(trace.at("traceEvents").size() == 2);
  CHECK(trace["traceEvents"][0]["args"]["name"] == "train");
  const Json& event = trace["traceEvents"][1];
  CHECK(
      event ==
      Json{{"ph", "X"}, {"pid", 1}, {"tid", 3}, {"name", "say \"a\""}, {"ts", 5e5}, {"dur", 2.5e5}, {"tdur", 1.25e5}});
}
