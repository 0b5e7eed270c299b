#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/html_escape.hpp"
#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

/// A linear axis unless a few timesteps are so much larger than the rest that they would flatten it.
ScaleKind y_scale_for(const TimestepProfile& profile, double& linear_within) {
  std::vector<double> sizes;
  for (const auto* series : {&profile.own, &profile.others})
    for (const double v : *series)
      if (std::isfinite(v) && v != 0) sizes.push_back(std::abs(v));
  if (sizes.empty()) return ScaleKind::linear;
  std::sort(sizes.begin(), sizes.end());
  linear_within = sizes[sizes.size() / 2];
  return sizes.back() > 15 * linear_within ? ScaleKind::symlog : ScaleKind::linear;
}

/// Timestep below which half of the total own-group difference lies; empty when the total is not positive.
std::string half_point(const TimestepProfile& profile) {
  double total = 0, sum = 0;
  for (const double v : profile.own) total += std::isfinite(v) ? v : 0;
  if (!(total > 0)) return {};
  for (std::size_t i = 0; i < profile.own.size(); ++i) {
    sum += std::isfinite(profile.own[i]) ? profile.own[i] : 0;
    if (sum >= total / 2) return fmt::format("half of the own-group sum is reached at t = {}", profile.timestep[i]);
  }
  return {};
}

std::string profile_figure(const ReportData& data, const TimestepProfile& profile) {
  const std::size_t n = profile.timestep.size();
  if (profile.own.size() != n || profile.others.size() != n)
    throw Bug(fmt::format("report: profile of {} has {} timesteps, {} and {} values", profile.method, n,
                          profile.own.size(), profile.others.size()));
  LineChart chart;
  chart.title = fmt::format("Difference per timestep: {}, {} queries", profile.method, profile.query_set);
  chart.x.assign(profile.timestep.begin(), profile.timestep.end());
  chart.x_label = "timestep t";
  chart.y_scale = y_scale_for(profile, chart.linear_within);
  const bool symlog = chart.y_scale == ScaleKind::symlog;
  chart.y_label = data.score_unit + (symlog ? " per timestep (log scale away from 0)" : " per timestep");
  chart.series = {{"own group", "s-own", profile.own, profile.own_error},
                  {"other groups", "s-others", profile.others, profile.others_error}};
  const std::string half = half_point(profile);
  chart.description =
      fmt::format("Mean weighted loss difference at {} timesteps for the query's own group and for the others{}{}.", n,
                  half.empty() ? "" : "; ", half);
  return fmt::format("<figure><figcaption><b>{}</b> <span>{} queries{}{}</span></figcaption>{}</figure>\n",
                     breakable(profile.method), escape_html(profile.query_set), half.empty() ? "" : "; ", half,
                     line_chart(chart));
}

}  // namespace

std::string timesteps_section(const ReportData& data) {
  constexpr std::string_view kHeading = "Where on the timestep axis the difference sits";
  if (data.profiles.empty())
    return section("timesteps", kHeading,
                   missing(data, "profiles",
                           "No timestep profile: no method that scores by losses has rows for all its timesteps."));
  std::string figures;
  for (const auto& profile : data.profiles) figures += profile_figure(data, profile);
  return section(
      "timesteps", kHeading,
      fmt::format("<p class=\"lede\">Mean weighted loss difference of counterfactual and full model at each timestep "
                  "(small t: almost clean picture; "
                  "large t: almost pure noise). A score is the sum over timesteps.{} A narrow gap between the two "
                  "lines means that these "
                  "timesteps say little about which group it was.</p>\n"
                  "<ul class=\"legend\"><li><span class=\"swatch own-swatch\"></span>the query\u2019s own group</li>"
                  "<li><span class=\"swatch others-swatch\"></span>mean over the other groups</li></ul>\n<div "
                  "class=\"charts\">{}</div>",
                  data.own_group.empty() ? "" : " Own group = " + escape_html(data.own_group) + ".", figures));
}

}  // namespace guda::orchestrator::report
