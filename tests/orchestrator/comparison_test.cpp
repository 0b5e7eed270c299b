#include "orchestrator/comparison.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "common/metrics.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;
using doctest::Approx;
using orchestrator::compare;
using orchestrator::Comparison;
using orchestrator::ReferenceKind;
using orchestrator::View;
using test::noise;

namespace {

double signal(std::size_t q, std::size_t k) { return noise(1, q, k); }

View view(const Comparison& comparison, const std::string& draws, const std::string& reference,
          const std::string& set = "generated", const std::string& weighting = "elbo") {
  for (const View& v : comparison.views) {
    if (v.draws == draws && v.reference == reference && v.query_set == set && v.weighting == weighting) return v;
  }
  throw std::runtime_error("no view of " + draws + " " + reference + " " + set + " " + weighting);
}

double value(const View& v, const std::string& method, const std::string& metric) {
  return v.methods.at(method).metrics.at(metric).estimate.value;
}

/// logo = signal; same = signal; shifted = signal + a constant per query; weak = signal + noise; shuffled = noise.
struct Run {
  explicit Run(test::SyntheticSize size = {})
      : plan(test::synthetic_plan(
            size, {{"logo", "logo"}, {"same", "guda"}, {"shifted", "guda"}, {"weak", "guda"}, {"shuffled", "random"}})),
        table(test::empty_table(plan)) {
    test::fill_fulls(table);
    test::fill_losses(table, "logo", [](auto q, auto k, auto) { return signal(q, k); });
    test::fill_losses(table, "same", [](auto q, auto k, auto) { return signal(q, k); });
    test::fill_losses(table, "shifted", [](auto q, auto k, auto) { return signal(q, k) + 10 * noise(2, q, 0); });
    test::fill_losses(table, "weak", [](auto q, auto k, auto) { return signal(q, k) + noise(3, q, k); });
    for (std::size_t i = 0; i < table.scores.at("shuffled").size(); ++i) table.scores["shuffled"][i] = noise(4, i, 0);
  }
  jobs::Plan plan;
  orchestrator::ResultsTable table;
};

/// Two LOGO seeds with their own training noise, and draw noise on every slot.
struct TwoSeeds {
  explicit TwoSeeds(double training_noise = 0.5)
      : plan(
            test::synthetic_plan({.queries = 80}, {{"logo", "logo"}, {"logo_b", "logo"}, {"exact", "guda"}}, "logo_b")),
        table(test::empty_table(plan)) {
    test::fill_fulls(table);
    std::uint64_t stream = 10;
    for (const char* name : {"logo", "logo_b", "exact"}) {
      ++stream;
      test::fill_losses(table, name, [&](std::size_t q, std::size_t k, std::size_t s) {
        return signal(q, k) + training_noise * noise(stream, q, k) + 0.8 * noise(20, q, s, k);  // draws are shared
      });
    }
  }
  jobs::Plan plan;
  orchestrator::ResultsTable table;
};

}  // namespace

TEST_CASE("comparison: a method identical to LOGO agrees fully") {
  const Run run;
  const auto& v = view(compare(run.table, run.plan, {}), "independent", "logo");
  CHECK(v.queries == 60);
  CHECK(v.left_out == 0);
  CHECK(v.groups == 10);
  for (const auto& [metric, agreement] : v.methods.at("same").metrics) {
    const double best = metric == "rbo" ? 1 - std::pow(0.9, 10) : metrics::lower_is_better(metric) ? 0.0 : 1.0;
    CHECK_MESSAGE(agreement.estimate.value == Approx(best).epsilon(1e-6), metric);
    CHECK_MESSAGE(agreement.estimate.low == Approx(best).epsilon(1e-6), metric);
    CHECK(agreement.p_vs_best == 1);
  }
}

TEST_CASE("comparison: scores that know nothing are at chance, within their interval or nearly") {
  const Run run({.queries = 400});
  const auto& v = view(compare(run.table, run.plan, {}), "independent", "logo");
  for (const auto& [metric, agreement] : v.methods.at("shuffled").metrics) {
    CHECK(v.chance.contains(metric) == metrics::has_chance(metric));
    if (!metrics::has_chance(metric)) continue;
    const double spread = agreement.estimate.high - agreement.estimate.low;
    CHECK_MESSAGE(std::abs(agreement.estimate.value - v.chance.at(metric)) < 0.9 * spread, metric);
    CHECK(agreement.p_vs_best < 0.01);
  }
}

TEST_CASE("comparison: a constant per query changes no rank metric but the pooled correlation") {
  const Run run;
  const auto& v = view(compare(run.table, run.plan, {}), "independent", "logo");
  for (const auto metric : metrics::kPerQuery) {
    CHECK_MESSAGE(value(v, "shifted", std::string(metric)) == Approx(value(v, "same", std::string(metric))), metric);
  }
  CHECK(value(v, "shifted", "pooled_r") < 0.5);
}

TEST_CASE("comparison: pooled r and its value agree with the correlation of the whole table") {
  const Run run;
  const auto& v = view(compare(run.table, run.plan, {}), "independent", "logo");
  metrics::PooledSums sums;
  for (std::size_t q = 0; q < 60; ++q) {
    std::vector<double> gold, weak;
    for (std::size_t k = 0; k < 10; ++k) {
      gold.push_back(signal(q, k));
      weak.push_back(signal(q, k) + noise(3, q, k));
    }
    sums += metrics::pooled_sums(gold, weak);
  }
  const auto& pooled = v.methods.at("weak").metrics.at("pooled_r");
  CHECK(pooled.estimate.value == Approx(sums.r()).epsilon(1e-5));
  CHECK(pooled.estimate.low < sums.r());
  CHECK(pooled.estimate.high > sums.r());
  CHECK(pooled.p_vs_best < 0.01);
}

TEST_CASE("comparison: equal input gives equal numbers, and p-values need no order of methods") {
  Run run;
  const Json first = to_json(compare(run.table, run.plan, {}));
  CHECK(to_json(compare(run.table, run.plan, {})) == first);
  std::swap(run.plan.experiment.methods[1], run.plan.experiment.methods[3]);
  const Json swapped = to_json(compare(run.table, run.plan, {}));
  CHECK(swapped["views"][0]["methods"]["weak"] == first["views"][0]["methods"]["weak"]);
}

TEST_CASE("comparison: without a second seed there is one reference and no ceiling, but repeatability") {
  const Run run;
  const auto comparison = compare(run.table, run.plan, {});
  CHECK(comparison.views.size() == 4);  // 2 weightings x 2 kinds of draws
  for (const View& v : comparison.views) {
    CHECK(!v.ceiling);
    REQUIRE(v.repeatability);
    CHECK(v.repeatability->at("top1").value == 1);  // the synthetic draws have no noise
    CHECK(v.methods.count("logo") == 0);
  }
  CHECK(to_json(comparison)["views"][0]["ceiling"].is_null());
}

TEST_CASE("comparison: shared draw noise counts as agreement only in the view that says so") {
  const TwoSeeds run;
  const auto comparison = compare(run.table, run.plan, {});
  const auto& independent = view(comparison, "independent", "logo");
  const auto& same = view(comparison, "same", "logo");
  CHECK(value(same, "exact", "spearman") > value(independent, "exact", "spearman") + 0.02);
  CHECK(same.ceiling->at("spearman").value > independent.ceiling->at("spearman").value + 0.02);
  // Repeatability is a property of the reference: other draws in both views.
  CHECK(same.repeatability->at("spearman").value == Approx(independent.repeatability->at("spearman").value));
  CHECK(independent.repeatability->at("spearman").value < 1);
}

TEST_CASE("comparison: a method that is as good as another LOGO seed reaches the ceiling") {
  const TwoSeeds run;
  const auto comparison = compare(run.table, run.plan, {});
  for (const char* reference : {"logo", "logo_b", "logo+logo_b"}) {
    const auto& v = view(comparison, "independent", reference);
    CHECK(value(v, "exact", "pooled_r") == Approx(v.ceiling->at("pooled_r").value).epsilon(0.05));
  }
}

TEST_CASE("comparison: beside the ceiling stands the mean of the agreements with both seeds") {
  const TwoSeeds run;
  const auto comparison = compare(run.table, run.plan, {});
  const auto &a = view(comparison, "independent", "logo"), &b = view(comparison, "independent", "logo_b");
  const auto& each = view(comparison, "independent", "logo+logo_b");
  CHECK(each.kind == ReferenceKind::each);
  for (const char* metric : {"top1", "spearman", "pooled_r"}) {
    CHECK(value(each, "exact", metric) == Approx((value(a, "exact", metric) + value(b, "exact", metric)) / 2));
    CHECK(each.ceiling->at(metric).value == Approx((a.ceiling->at(metric).value + b.ceiling->at(metric).value) / 2));
  }
}

TEST_CASE("comparison: agreement with the mean of two seeds is a row of its own, without a ceiling") {
  const TwoSeeds run;
  const auto comparison = compare(run.table, run.plan, {});
  const auto& mean = view(comparison, "independent", "mean(logo, logo_b)");
  CHECK(mean.kind == ReferenceKind::mean);
  CHECK(!mean.ceiling);
  CHECK(value(mean, "exact", "pooled_r") > value(view(comparison, "independent", "logo"), "exact", "pooled_r"));
}

TEST_CASE("comparison: queries that are not fully evaluated are left out and counted") {
  Run run;
  const std::size_t slots = run.table.slots();
  run.table.losses.at("weak")[(3 * 60 + 5) * slots + slots - 1] = std::nanf("");  // a methods' draw of query 5, group 3
  run.table.losses.at("logo")[(0 * 60 + 9) * slots] = std::nanf("");              // an oracle's draw of query 9
  const auto comparison = compare(run.table, run.plan, {});
  const auto& v = view(comparison, "independent", "logo");
  CHECK(v.queries == 58);
  CHECK(v.left_out == 2);
  CHECK(comparison_table(comparison, 100).find("2 left out") != std::string::npos);
}

TEST_CASE("comparison: a method without results is named and does not hide the others") {
  Run run;
  for (float& v : run.table.losses.at("weak")) v = std::nanf("");
  const auto& v = view(compare(run.table, run.plan, {}), "independent", "logo");
  CHECK(v.queries == 60);
  CHECK(v.missing == std::vector<std::string>{"weak"});
  CHECK(v.methods.count("weak") == 0);
}

TEST_CASE("comparison: before the reference is evaluated there is no view") {
  Run run;
  for (float& v : run.table.losses.at("logo")) v = std::nanf("");
  const auto comparison = compare(run.table, run.plan, {});
  CHECK(comparison.views.empty());
  CHECK(to_json(comparison)["views"].empty());
  CHECK(comparison_table(comparison, 80).find("Nothing to compare yet") != std::string::npos);
}

TEST_CASE("comparison: run seeds are resampled as clusters") {
  const auto width_with = [](std::vector<std::uint64_t> seeds, bool differ) {
    Run run({.queries = 40, .seeds = std::move(seeds)});
    test::fill_losses(run.table, "weak", [&](std::size_t q, std::size_t k, std::size_t) {
      const bool bad_seed = differ && run.plan.queries[q].seed == 1;
      return signal(q, k) + (bad_seed ? 20 : 0.1) * noise(3, q, k);
    });
    const auto estimate =
        view(compare(run.table, run.plan, {}), "independent", "logo").methods.at("weak").metrics.at("top1").estimate;
    return estimate.high - estimate.low;
  };
  CHECK(width_with({0, 1, 2}, true) > 0.5);
  CHECK(width_with({0, 1, 2}, false) < 0.3);
}

TEST_CASE("comparison: real queries show how often the top group is the true one") {
  Run run({.queries = 50, .sets = {"generated", "real"}});
  const auto true_signal = [](std::size_t q, std::size_t k, std::size_t) { return (q % 50) % 10 == k ? 1.0 : 0.0; };
  test::fill_losses(run.table, "logo", true_signal);
  test::fill_losses(run.table, "weak",
                    [&](auto q, auto k, auto s) { return q % 2 == 0 ? true_signal(q, k, s) : -true_signal(q, k, s); });
  const auto comparison = compare(run.table, run.plan, {{"weak", {12.5, "paper formula"}}});
  const auto& real = view(comparison, "independent", "logo", "real");
  CHECK(real.reference_true_group_top1->value == 1);
  CHECK(real.methods.at("weak").true_group_top1->value == Approx(0.5));
  CHECK(!view(comparison, "independent", "logo").reference_true_group_top1);

  const auto& classes = real.methods.at("weak").by_class;
  CHECK(classes.size() == 10);
  const auto first =
      std::find_if(run.plan.queries.begin(), run.plan.queries.end(), [](const auto& q) { return q.set == "real"; });
  CHECK(classes.at(first->true_group).queries == 5);
  const auto top1 = [](const auto& of) { return of.metrics.at("top1").estimate; };
  CHECK(top1(classes.at(first->true_group)).value == 1);
  CHECK(top1(classes.at((first + 1)->true_group)).value == 0);
  // Without a known class a query counts for the group that the reference puts first.
  const View generated = view(comparison, "independent", "logo");
  const auto& guessed = generated.methods.at("weak").by_class;
  CHECK(guessed.at(run.plan.groups[0]).queries == 5);
  CHECK(top1(guessed.at(run.plan.groups[0])).value == 1);
  CHECK(comparison_table(comparison, 120).find("true group") != std::string::npos);
}

TEST_CASE(
    "comparison: intervals over groups of queries are wider where a group fails as one, and say how many there are") {
  Run run({.queries = 200, .sets = {"generated", "real"}});
  // Wrong on all queries of three classes of ten, or on as many spread over all of them.
  test::fill_losses(run.table, "same", [](auto q, auto k, auto) { return q % 10 < 3 ? -signal(q, k) : signal(q, k); });
  test::fill_losses(run.table, "weak",
                    [](auto q, auto k, auto) { return q / 10 % 10 < 3 ? -signal(q, k) : signal(q, k); });
  const Comparison both = compare(run.table, run.plan, {});
  const View& v = view(both, "independent", "logo", "real");
  CHECK(v.query_groups == 10);
  CHECK_FALSE(v.asked_for);
  const auto width = [](const Interval& i) { return i.high - i.low; };
  const auto& together = v.methods.at("same").metrics.at("top1");
  const auto& spread = v.methods.at("weak").metrics.at("top1");
  REQUIRE(together.over_groups);
  CHECK(together.over_groups->value == together.estimate.value);
  CHECK(width(*together.over_groups) > 3 * width(together.estimate));
  CHECK(width(*spread.over_groups) < width(spread.estimate));
  CHECK(v.repeatability_over_groups->at("top1").value == 1);

  const View& generated = view(both, "independent", "logo");  // nobody knows what their groups are
  CHECK(generated.query_groups == 0);
  CHECK_FALSE(generated.methods.at("same").metrics.at("top1").over_groups);
  CHECK_FALSE(generated.repeatability_over_groups);

  for (const Json& json : to_json(both)["views"]) {
    const Json& top1 = json["methods"]["same"]["metrics"]["top1"];
    const bool real = json["query_set"] == "real";
    CHECK(json["query_groups"] == (real ? 10 : 0));
    CHECK(top1.contains("over_groups") == real);
    CHECK(json["repeatability"]["top1"].contains("over_groups") == real);
    if (real) CHECK(top1["over_groups"]["p_vs_best"].is_number());
  }

  const Comparison shown = orchestrator::over_groups(both);
  for (const View& only : shown.views) CHECK(only.query_set == "real");
  CHECK(view(shown, "independent", "logo", "real").methods.at("same").metrics.at("top1").estimate.low ==
        together.over_groups->low);
  CHECK(comparison_table(shown, 120).find("intervals over 10 groups of queries") != std::string::npos);
  CHECK(comparison_table(both, 120).find("--over-groups") != std::string::npos);
  const Comparison nothing = orchestrator::over_groups(Comparison{.views = {generated}});
  CHECK(comparison_table(nothing, 120).find("groups to resample") != std::string::npos);
}

TEST_CASE(
    "comparison: prompts group the queries of a text-to-image run where no style is known, and styles were asked for") {
  Run run({.queries = 60, .sets = {"generated"}});
  run.plan.experiment.pipeline.text_encoder.hidden_size = 8;
  jobs::SampleSpec sample;
  sample.set.kind = "generated";
  for (std::size_t q = 0; q < run.plan.queries.size(); ++q) {
    sample.names.push_back(run.plan.queries[q].name);
    sample.prompts.push_back(q % 4 == 0 ? "A boat" : q % 4 == 1 ? "A house" : "A tree");
  }
  run.plan.jobs.push_back({});
  run.plan.jobs.back().work = sample;
  run.plan.experiment.queries.push_back({.name = "generated"});
  const auto generated = [&] { return view(compare(run.table, run.plan, {}), "independent", "logo"); };
  CHECK(generated().query_groups == 3);
  CHECK(generated().asked_for);
  for (std::size_t q = 0; q < run.table.queries(); ++q)
    run.table.shape.queries[q].true_group = run.plan.queries[q].true_group = run.plan.groups[q % 2];
  CHECK(generated().query_groups == 2);
  const std::string text = comparison_table(compare(run.table, run.plan, {}), 160);
  CHECK(text.find("style asked for") != std::string::npos);
  CHECK(text.find("true group") == std::string::npos);
  CHECK(text.find("ndcg3 lin") != std::string::npos);  // the columns of UnlearnCanvas
  CHECK(text.find(" rbo ") != std::string::npos);
  CHECK(class_table(compare(run.table, run.plan, {})).find("ndcg3 lin") != std::string::npos);
  CHECK(comparison_table(compare(Run().table, Run().plan, {}), 160).find(" rbo ") == std::string::npos);
}

TEST_CASE("comparison: every metric of the UnlearnCanvas tables is in the JSON (methods.md 2.6)") {
  const Run run;
  const Json metrics = to_json(compare(run.table, run.plan, {}))["views"][0]["methods"]["weak"]["metrics"];
  for (const char* metric : {"top1", "top3", "top5", "mrr", "ndcg3_lin", "ndcg5_lin", "ndcg10_lin", "rbo", "wpra3_u",
                             "spearman", "pearson", "kendall", "global_mse", "global_mae"}) {
    CAPTURE(metric);
    CHECK(metrics.contains(metric));
  }
}

TEST_CASE("comparison: within a class there are intervals, p-values and the sign of the fit, and the classes add up") {
  Run run({.queries = 200, .sets = {"real"}});
  test::fill_losses(run.table, "same", [](auto q, auto k, auto) { return q % 10 == 3 ? -signal(q, k) : signal(q, k); });
  const auto comparison = compare(run.table, run.plan, {});
  const auto& v = view(comparison, "independent", "logo", "real");
  const auto& weak = v.methods.at("weak").by_class;
  std::size_t queries = 0;
  std::map<std::string, double> sums;
  for (const auto& [name, entry] : weak) {
    queries += entry.queries;
    for (const char* metric : {"top1", "mrr", "ndcg_val", "cal_mse"}) {
      CAPTURE(metric);
      const auto& m = entry.metrics.at(metric);
      CHECK(m.estimate.low <= m.estimate.value);
      CHECK(m.estimate.value <= m.estimate.high);
      CHECK(m.p_vs_best > 0);
      sums[metric] += m.estimate.value * static_cast<double>(entry.queries);
    }
    const auto& top1 = entry.metrics.at("top1").estimate;
    CHECK(top1.high - top1.low > 0.1);  // twenty queries that are sometimes right and sometimes not
    CHECK(top1.high - top1.low < 0.6);
  }
  CHECK(queries == 200);
  // Weighed by their queries the classes give the view, ndcg_val counted from the smallest gold score of all of them.
  for (const auto& [metric, sum] : sums) CHECK(sum / 200 == Approx(value(v, "weak", metric)));
  const auto& turned = v.methods.at("same").by_class;
  CHECK(turned.at("3").metrics.at("cal_negative").estimate.value == 1);
  CHECK(turned.at("4").metrics.at("cal_negative").estimate.value == 0);
  CHECK(turned.at("3").metrics.at("top1").p_vs_best < 0.05);
  CHECK(turned.at("4").metrics.at("top1").p_vs_best == 1);

  const Json json = to_json(comparison)["views"][0]["methods"]["weak"]["by_class"]["7"];
  CHECK(json["queries"] == 20);
  for (const char* key : {"value", "low", "high", "p_vs_best"}) CHECK(json["metrics"]["top1"][key].is_number());
  const std::string text = class_table(comparison);
  CHECK(text.find("slope < 0") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') > 10 * 4);
}

TEST_CASE("comparison: the lowest error is the best one, and the p-value is of that") {
  const Run run;
  const auto& v = view(compare(run.table, run.plan, {}), "independent", "logo");
  for (const char* metric : {"cal_mse", "cal_mae", "global_mse"}) {
    CAPTURE(metric);
    CHECK(value(v, "same", metric) < value(v, "weak", metric));
    CHECK(v.methods.at("same").metrics.at(metric).p_vs_best == 1);
    CHECK(v.methods.at("weak").metrics.at(metric).p_vs_best < 0.01);
  }
}

TEST_CASE("comparison: a view of a query set for tuning says so, in JSON and in the table") {
  Run run({.queries = 30, .sets = {"generated", "real"}});
  for (auto& query : run.table.shape.queries) {
    if (query.set == "real") query.role = "tuning";
  }
  const auto comparison = compare(run.table, run.plan, {});
  CHECK(view(comparison, "independent", "logo").role == "reported");
  CHECK(view(comparison, "independent", "logo", "real").role == "tuning");
  CHECK(to_json(comparison).dump().find("\"role\":\"tuning\"") != std::string::npos);
  CHECK(comparison_table(comparison, 120).find("real queries (for tuning: no result)") != std::string::npos);
}

TEST_CASE("comparison: JSON has the keys of schema 1") {
  const TwoSeeds run;
  const Json json = to_json(compare(run.table, run.plan, {{"exact", {12.5, "paper formula"}}}));
  CHECK(json["schema"] == 1);
  const Json& v = json["views"][0];
  for (const char* key : {"query_set", "weighting", "draws", "reference", "queries", "groups", "chance", "ceiling",
                          "repeatability", "methods"}) {
    CHECK_MESSAGE(v.contains(key), key);
  }
  const Json& method = v["methods"]["exact"];
  CHECK(method["device_seconds"] == 12.5);
  CHECK(method["fidelity"] == "paper formula");
  for (const char* metric : {"top1", "top3", "mrr", "ndcg3_exp", "ndcg3_lin", "ndcg5_exp", "ndcg5_lin", "wpra3", "rbo",
                             "spearman", "kendall", "pooled_r"}) {
    for (const char* key : {"value", "low", "high", "p_vs_best"})
      CHECK_MESSAGE(method["metrics"][metric].contains(key), metric);
    for (const char* key : {"value", "low", "high"}) CHECK_MESSAGE(v["ceiling"][metric][key].is_number(), metric);
    CHECK_MESSAGE(v["chance"][metric].is_number(), metric);
  }
}

TEST_CASE("comparison: the table says which methods are reconstructions of ours") {
  const TwoSeeds run;
  const std::string table = comparison_table(compare(run.table, run.plan, {{"exact", {1, "our reconstruction"}}}), 50);
  CHECK(table.find("Our reconstructions, not the papers' own: exact.\n") != std::string::npos);
  CHECK(comparison_table(compare(run.table, run.plan, {{"exact", {1, "paper formula"}}}), 50).find("reconstruction") ==
        std::string::npos);
}

TEST_CASE("comparison: the table fits its width and marks the best value") {
  const Run run;
  const auto comparison = compare(run.table, run.plan, {});
  for (const std::size_t width : {50U, 80U, 120U}) {
    std::istringstream lines(comparison_table(comparison, width));
    std::string line, same_row;
    std::size_t longest = 0;
    while (std::getline(lines, line)) {
      const bool prose = line.find("draws") != std::string::npos || line.find('(') != std::string::npos;
      if (!prose) longest = std::max(longest, line.size());
      if (same_row.empty() && line.starts_with("same ")) same_row = line;
    }
    CHECK(longest <= width);
    CHECK(same_row.find("1.000 [1.000, 1.000]*") != std::string::npos);
  }
  CHECK(comparison_table(comparison, 120).find("pooled r") != std::string::npos);
  CHECK(comparison_table(comparison, 50).find("pooled r") == std::string::npos);
}
