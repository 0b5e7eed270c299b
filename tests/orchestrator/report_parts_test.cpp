// The small words that the report's drawings are made of.
#include <doctest/doctest.h>

#include <cmath>

#include "common/error.hpp"
#include "orchestrator/report/axis.hpp"
#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/picture.hpp"

using namespace guda;
using namespace guda::orchestrator::report;

TEST_CASE("numbers: sensible digits, a real minus sign, no negative zero") {
  CHECK(significant(0.0641234) == "0.0641");
  CHECK(significant(-12.345, 3) == "\u221212.3");
  CHECK(significant(1234.5, 2) == "1234");
  CHECK(significant(0) == "0");
  CHECK(significant(1.234e-7, 2) == "1.2e\u22127");
  CHECK(significant(std::nan("")) == "n/a");
  CHECK(fixed(-0.001, 2) == "0.00");
  CHECK(fixed(-0.25, 1) == "\u22120.2");
  CHECK(shortest(0.5) == "0.5");
  CHECK(shortest(200) == "200");
  CHECK(percent(0.824) == "82\u00a0%");
  CHECK(duration(34.2) == "34\u00a0s");
  CHECK(duration(253) == "4.2\u00a0min");
  CHECK(duration(9000) == "2.5\u00a0h");
  CHECK(counted(1, "query", "queries") == "1 query");
  CHECK(counted(2, "query", "queries") == "2 queries");
}

TEST_CASE("axis: linear, log and symlog put their ends and 0 where they belong") {
  const Axis linear{.low = 0, .high = 10, .from = 100, .to = 200};
  CHECK(linear.at(5) == doctest::Approx(150));
  CHECK(linear.at(-3) == doctest::Approx(100));
  const Axis log{.kind = ScaleKind::log, .low = 1, .high = 100, .from = 0, .to = 1};
  CHECK(log.at(10) == doctest::Approx(0.5));
  const Axis symlog{.kind = ScaleKind::symlog, .low = -1000, .high = 1000, .from = 0, .to = 1, .linear_within = 1};
  CHECK(symlog.at(0) == doctest::Approx(0.5));
  CHECK(symlog.at(1000) == doctest::Approx(1));
  CHECK(symlog.at(10) - 0.5 == doctest::Approx(0.5 - symlog.at(-10)));
  CHECK(symlog.at(10) > 0.65);
}

TEST_CASE("axis: ticks are round and inside") {
  CHECK(ticks({.low = 0, .high = 1}, 4) == std::vector<double>{0, 0.5, 1});
  CHECK(ticks({.low = 0, .high = 990}, 5).size() == 5);
  const auto powers = ticks({.kind = ScaleKind::log, .low = 0.5, .high = 2000}, 6);
  REQUIRE(powers.size() == 4);
  CHECK(powers.front() == doctest::Approx(1));
  CHECK(powers.back() == doctest::Approx(1000));
  const auto both = ticks({.kind = ScaleKind::symlog, .low = -20, .high = 200, .linear_within = 1}, 8);
  REQUIRE(both.size() >= 4);
  CHECK(std::is_sorted(both.begin(), both.end()));
  CHECK(both.front() < 0);
  CHECK(std::count(both.begin(), both.end(), 0.0) == 1);
}

TEST_CASE("bar chart: chance and ceiling appear only where they are known") {
  BarChart chart;
  chart.bars = {{"a", 0.5, 0.4, 0.6, "k-guda", "0.50 [0.40, 0.60]"}};
  const std::string plain = bar_chart(chart);
  CHECK(plain.find("class=\"chance\"") == std::string::npos);
  CHECK(plain.find("class=\"ceiling") == std::string::npos);
  CHECK(plain.find("class=\"whisker\"") != std::string::npos);
  chart.chance = 0.1;
  chart.ceiling = {0.8, 0.7, 0.9};
  const std::string full = bar_chart(chart);
  CHECK(full.find("class=\"chance\"") != std::string::npos);
  CHECK(full.find("class=\"ceiling-band\"") != std::string::npos);
}

TEST_CASE("heat map: the largest magnitude takes the end of the palette, 0 its middle, and NaN neither") {
  const std::string drawn = heatmap_chart({.title = "t",
                                           .description = "d",
                                           .unit = "nats",
                                           .row_axis = "r",
                                           .column_axis = "c",
                                           .rows = {"x"},
                                           .columns = {"p", "q", "s"},
                                           .values = {-2, 0, std::nan("")},
                                           .tips = {"tip-p", "tip-q", "tip-s"}});
  CHECK(drawn.find("class=\"h-12\"><title>tip-p") != std::string::npos);
  CHECK(drawn.find("class=\"h0\"><title>tip-q") != std::string::npos);
  CHECK(drawn.find("class=\"heat-none\"><title>tip-s") != std::string::npos);
}

TEST_CASE("line chart: a gap in the data is a gap in the line") {
  LineChart chart;
  chart.x = {1, 2, 3, 4, 5, 6};
  chart.series = {{"s", "s-own", {1, 2, 3, 4, 5, 6}, {}}};
  const auto lines = [&] {
    const std::string drawn = line_chart(chart);
    std::size_t n = 0;
    for (std::size_t at = drawn.find("<polyline"); at != std::string::npos; at = drawn.find("<polyline", at + 1)) ++n;
    return n;
  };
  CHECK(lines() == 1);
  chart.series[0].y[2] = std::nan("");
  CHECK(lines() == 2);
}

TEST_CASE("picture: grey levels are spread over 0..255 and channels are interleaved") {
  CHECK(interleaved({1, 1, 3, 17, {0, 8, 16}}) == std::vector<std::uint8_t>{0, 128, 255});
  CHECK(interleaved({3, 1, 2, 256, {1, 2, 3, 4, 5, 6}}) == std::vector<std::uint8_t>{1, 3, 5, 2, 4, 6});
  CHECK_THROWS_AS((void)interleaved({1, 2, 2, 17, {0}}), Bug);
}
