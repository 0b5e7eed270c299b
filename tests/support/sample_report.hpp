#pragma once
// A made-up report with every part filled, for tests of the drawing only: its numbers mean nothing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.hpp"
#include "orchestrator/report/report_data.hpp"

namespace guda::tests {

using namespace orchestrator::report;

/// Uniform in [0, 1), a pure function of its name.
inline double chosen(const std::string& name) {
  return static_cast<double>((SeedPath(7) / name).value() >> 11) * 0x1p-53;
}

/// 8x8, 17 levels: a digit of a 5x7 dot font, with a little noise named by `name`.
inline Picture digit_picture(std::uint32_t digit, const std::string& name, double noise = 3) {
  static constexpr std::array<std::array<std::uint8_t, 7>, 10> kDots{{{14, 17, 17, 17, 17, 17, 14},
                                                                      {4, 12, 4, 4, 4, 4, 14},
                                                                      {14, 17, 1, 2, 4, 8, 31},
                                                                      {14, 17, 1, 6, 1, 17, 14},
                                                                      {2, 6, 10, 18, 31, 2, 2},
                                                                      {31, 16, 30, 1, 1, 17, 14},
                                                                      {6, 8, 16, 30, 17, 17, 14},
                                                                      {31, 1, 2, 4, 8, 8, 8},
                                                                      {14, 17, 17, 14, 17, 17, 14},
                                                                      {14, 17, 17, 15, 1, 2, 12}}};
  Picture picture{.channels = 1, .height = 8, .width = 8, .levels = 17, .pixels = std::vector<std::uint8_t>(64)};
  for (std::uint32_t y = 0; y < 8; ++y)
    for (std::uint32_t x = 0; x < 8; ++x) {
      const bool ink = y < 7 && x >= 1 && x < 6 && (kDots[digit % 10][y] >> (5 - x) & 1U) != 0;
      const double value = (ink ? 13 : 1) + noise * (chosen(fmt::format("{}/{}/{}", name, y, x)) * 2 - 1);
      picture.pixels[8 * y + x] = static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 16L));
    }
  return picture;
}

struct SampleMethod {
  const char* name;
  const char* kind;
  double top1, pooled, spread, seconds;
};
inline constexpr std::array kSampleMethods{SampleMethod{"logo", "reference", 1, 1, 0.02, 233},
                                           SampleMethod{"retrack_exact", "guda", .824, .80, 0.1, 34},
                                           SampleMethod{"ifu", "guda", .812, .76, 0.12, 36},
                                           SampleMethod{"retrack_released", "guda", .758, .77, 0.2, 34},
                                           SampleMethod{"knn", "control", .789, .55, 0.2, 0.3},
                                           SampleMethod{"pixel_cosine", "control", .738, .48, 0.3, 0.2},
                                           SampleMethod{"random", "control", .113, .04, 2.0, 0.01}};

inline Json estimate(double value, double half, double p) {
  return {
      {"value", value}, {"low", value - half}, {"high", value + half}, {"p_vs_best", p < 0 ? Json(nullptr) : Json(p)}};
}

inline Json sample_view(const std::string& set, const std::string& weighting, const std::string& draws, double lift) {
  const auto all = [&](double top1, double pooled, double half, double p) {
    return Json{{"top1", estimate(top1, half, p)},
                {"top3", estimate(.5 + .3 * top1, half * .6, p)},
                {"mrr", estimate(.29 + .71 * top1, half * .8, p)},
                {"ndcg3_exp", estimate(.25 + .63 * top1, half * .7, p)},
                {"ndcg3_lin", estimate(.5 + .4 * top1, half * .5, p)},
                {"ndcg5_exp", estimate(.35 + .55 * top1, half * .6, p)},
                {"ndcg5_lin", estimate(.6 + .3 * top1, half * .5, p)},
                {"wpra3", estimate(.5 + .4 * top1, half * .7, p)},
                {"rbo", estimate(.3 + .2 * top1, half * .4, p)},
                {"spearman", estimate(.48 * (top1 - .1), half, p)},
                {"kendall", estimate(.38 * (top1 - .1), half, p)},
                {"pooled_r", estimate(pooled, half * .7, p)}};
  };
  Json methods = Json::object();
  for (const auto& m : kSampleMethods)
    if (std::string_view(m.kind) != "reference")
      methods[m.name] = {{"device_seconds", m.seconds},
                         {"fidelity", std::string_view(m.kind) == "guda" ? "paper formula" : "our reconstruction"},
                         {"metrics", all(std::min(.99, m.top1 + lift), m.pooled, .047,
                                         m.top1 > .8    ? .31
                                         : m.top1 > .75 ? .08
                                                        : .001)}};
  return {{"query_set", set},
          {"weighting", weighting},
          {"draws", draws},
          {"reference", "logo"},
          {"queries", set == "real" ? 297 : 256},
          {"groups", 10},
          {"chance",
           {{"top1", .1},
            {"top3", .3},
            {"mrr", .2929},
            {"ndcg3_exp", .2935},
            {"ndcg3_lin", .5956},
            {"ndcg5_exp", .3856},
            {"ndcg5_lin", .6483},
            {"wpra3", .5},
            {"rbo", .3026},
            {"spearman", 0.0},
            {"kendall", 0.0},
            {"pooled_r", 0.0}}},
          {"ceiling", all(.812 + lift, .78, .05, -1)},
          {"repeatability", all(.89, .93, .04, -1)},
          {"methods", methods}};
}

inline std::vector<GroupScore> sample_top(std::uint32_t digit, const SampleMethod& method, const std::string& query) {
  std::vector<GroupScore> all;
  for (std::uint32_t k = 0; k < 10; ++k) {
    const double noise = chosen(fmt::format("{}/{}/{}", query, method.name, k)) - .5;
    all.push_back({std::to_string(k), (k == digit ? .064 : .012) + method.spread * .12 * noise,
                   std::string_view(method.kind) == "control" ? kUnknown : .005});
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  all.resize(5);
  return all;
}

inline void fill_pictures(ReportData& data) {
  for (std::uint32_t q = 0; q < 12; ++q) {
    const bool real = q >= 8;
    const std::uint32_t digit = (q * 7 + 3) % 10;
    QueryCard card{.name = fmt::format("{}/s0/{:04}", real ? "real" : "generated", q),
                   .set = real ? "real" : "generated",
                   .true_group = real ? std::to_string(digit) : "",
                   .picture = {},
                   .answers = {}};
    card.picture = digit_picture(digit, card.name);
    for (const auto& m : kSampleMethods) {
      const auto top = sample_top(digit, m, card.name);
      card.answers.push_back({m.name, top, undecided(top)});
    }
    data.cards.push_back(card);
  }
  constexpr std::uint32_t kColumns = 8;
  for (std::uint32_t c = 0; c < kColumns; ++c) data.gallery.full.push_back(digit_picture(c, fmt::format("noise{}", c)));
  for (const char* method : {"logo", "retrack_exact", "ifu"}) {
    Gallery::Block block{method, {}};
    for (std::uint32_t k = 0; k < 10; ++k) {
      Gallery::Row row{std::to_string(k), {}};
      for (std::uint32_t c = 0; c < kColumns; ++c)
        row.pictures.push_back(digit_picture(c == k ? (k + 5) % 10 : c, fmt::format("noise{}", c), c == k ? 6 : 3.5));
      block.rows.push_back(row);
    }
    data.gallery.blocks.push_back(block);
  }
}

inline void fill_tables(ReportData& data) {
  for (const auto& m : kSampleMethods) {
    if (std::string_view(m.name) == "random") continue;
    Heatmap map{
        .method = m.name, .query_set = "real", .rows = data.groups, .columns = data.groups, .mean = {}, .queries = {}};
    for (std::uint32_t r = 0; r < 10; ++r) {
      map.queries.push_back(25 + r);
      for (std::uint32_t c = 0; c < 10; ++c)
        map.mean.push_back((r == c ? .06 : .0) +
                           (.02 + .03 * m.spread) *
                               (chosen(fmt::format("{}/{}/{}", m.spread < .15 ? "pair" : m.name, r, c)) - .4));
    }
    data.heatmaps.push_back(map);
    if (std::string_view(m.kind) == "control") continue;
    TimestepProfile profile{.method = m.name,
                            .query_set = "generated",
                            .timestep = {},
                            .own = {},
                            .others = {},
                            .own_error = {},
                            .others_error = {}};
    for (std::uint32_t t = 10; t <= 990; t += 20) {
      const double u = t / 1000.0;
      profile.timestep.push_back(t);
      profile.own.push_back(.06 * std::exp(-u * 30) + .004 * std::exp(-std::pow((u - .45) / .2, 2)) +
                            .0005 * (chosen(fmt::format("{}/own/{}", m.name, t)) - .5));
      profile.others.push_back(.03 * std::exp(-u * 40) - .0004 * u +
                               .0004 * (chosen(fmt::format("{}/others/{}", m.name, t)) - .5));
      profile.own_error.push_back(.0004 + .01 * std::exp(-u * 30));
      profile.others_error.push_back(.0001 + .002 * std::exp(-u * 30));
    }
    data.profiles.push_back(profile);
  }
  Entanglement entanglement{"ifu", {}};
  for (std::size_t k = 0; k < data.groups.size(); ++k) {
    const double alignment = 1e-5 * (chosen(fmt::format("alignment/{}", k)) - .3);
    entanglement.rows.push_back({data.groups[k], 150, alignment, 4e-6, k == 3 ? kUnknown : .01 + 400 * alignment});
  }
  data.entanglement.push_back(entanglement);
  data.costs.push_back({"full", {{"train", 23, 1}, {"sample", 5, 2}, {"score", 4.1, 4}}});
  for (const auto& m : kSampleMethods) {
    const std::string_view kind = m.kind;
    if (kind == "control") data.costs.push_back({m.name, {{"attribute", m.seconds, 2}}});
    else
      data.costs.push_back(
          {m.name, {{kind == "guda" ? "unlearn" : "train", m.seconds * .9, 10}, {"score", m.seconds * .1 + 20, 40}}});
  }
}

inline ReportData sample_report() {
  ReportData data;
  data.title = "Who contributed? digits, 10 classes";
  data.created = "2026-01-31 14:05 UTC";
  data.experiment = "digits";
  for (int k = 0; k < 10; ++k) data.groups.push_back(std::to_string(k));
  data.methods = {
      {"logo", "reference", "retrained without the group (600 steps each): the oracle"},
      {"retrack_exact", "guda", "unlearned by redirecting the target to retained neighbours, exact softmax"},
      {"ifu", "guda", "unlearned in function space along the influence direction"},
      {"retrack_released", "guda", "the released variant of the redirected target"},
      {"knn", "control", "share of the group among the 5 nearest training pictures"},
      {"pixel_cosine", "control", "mean pixel cosine to the group's pictures"},
      {"random", "control", "a random order"}};
  data.comparison = {{"schema", 1}, {"views", Json::array()}};
  for (const char* draws : {"same", "independent"})
    for (const char* set : {"generated", "real"})
      for (const char* weighting : {"elbo", "mid"})
        data.comparison["views"].push_back(sample_view(set, weighting, draws,
                                                       std::string_view(draws) == "same"      ? .06
                                                       : std::string_view(weighting) == "mid" ? .0
                                                                                              : -.03));
  data.own_group = "the true class for real queries, the reference's top group for generated ones";
  fill_pictures(data);
  fill_tables(data);
  data.provenance = {{"guda", "0.1.0 (0123456789ab)"},
                     {"command", "guda run jobs/recipes/digits.yaml --workers 2"},
                     {"experiment",
                      {{"name", "digits"},
                       {"seeds", {0}},
                       {"training", {{"steps", 600}, {"batch", 64}, {"optimizer", {{"lr", 4e-3}}}}}}},
                     {"digests", {{"plan", std::string(32, 'a')}, {"dataset", std::string(32, 'b')}}},
                     {"numerics", {{"device", "cpu"}, {"threads", 1}}}};
  data.warnings = {
      "3 of 256 generated queries were not evaluated by ifu: the jobs of block 2 were quarantined after 3 attempts."};
  return data;
}

}  // namespace guda::tests
