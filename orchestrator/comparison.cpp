#include "orchestrator/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "common/digest.hpp"
#include "common/metrics.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/pair_agreement.hpp"

namespace guda::orchestrator {
namespace {

/// The mean over the pairs is the agreement.
struct Contestant {
  std::string name;
  std::vector<Pair> pairs;
};

Yardstick yardstick_of(const Measured& measured, const std::vector<std::vector<double>>& resampled, double confidence) {
  Yardstick yardstick;
  for (std::size_t m = 0; m < kMetricCount; ++m) {
    yardstick[metric_name(m)] = percentile_interval(measured.value[m], resampled[m], confidence);
  }
  return yardstick;
}

/// What the bootstrap over groups says, where there is one.
std::optional<Yardstick> over_groups_of(const Measured& measured, double confidence) {
  if (measured.by_groups.empty()) return std::nullopt;
  return yardstick_of(measured, measured.by_groups, confidence);
}

bool evaluated(const Contestant& contestant, std::size_t query) {
  return std::all_of(contestant.pairs.begin(), contestant.pairs.end(),
                     [&](const Pair& p) { return p.gold->evaluated(query) && p.predicted->evaluated(query); });
}

bool any_evaluated(const Contestant& contestant, const std::vector<std::size_t>& queries) {
  return std::any_of(queries.begin(), queries.end(), [&](std::size_t q) { return evaluated(contestant, q); });
}

/// Computes tables of scores on demand and keeps them for the views of one weighting.
class Scores {
 public:
  Scores(const ResultsTable& table, const jobs::Plan& plan, const jobs::WeightingConfig& weighting)
      : table_(table), plan_(plan), weighting_(weighting) {}

  const GroupScores& of(const std::string& method, std::uint32_t draw_set) {
    const auto key = std::pair(method, draw_set);
    const auto found = kept_.find(key);
    if (found != kept_.end()) return found->second;
    return kept_.emplace(key, group_scores(table_, plan_, method, weighting_, draw_set)).first->second;
  }
  const GroupScores& mean(const std::string& a, const std::string& b, std::uint32_t draw_set) {
    const auto key = std::pair("mean of " + a + " and " + b, draw_set);  // no method name has spaces
    const auto found = kept_.find(key);
    if (found != kept_.end()) return found->second;
    return kept_.emplace(key, mean_of(of(a, draw_set), of(b, draw_set))).first->second;
  }

 private:
  const ResultsTable& table_;
  const jobs::Plan& plan_;
  const jobs::WeightingConfig& weighting_;
  std::map<std::pair<std::string, std::uint32_t>, GroupScores> kept_;
};

/// The reference side of a view: how to hold a score table against it, and its yardsticks.
struct Reference {
  std::string name;
  ReferenceKind kind;
  std::vector<const GroupScores*> gold;      ///< on the oracle's side of the view
  std::vector<const GroupScores*> rescored;  ///< the same on the methods' draws
  std::optional<Contestant> ceiling;
};

Contestant against(const Reference& reference, const std::string& name, const GroupScores& predicted) {
  Contestant contestant{.name = name, .pairs = {}};
  for (const GroupScores* gold : reference.gold) contestant.pairs.push_back({gold, &predicted});
  return contestant;
}

std::vector<Reference> references_of(Scores& scores, const jobs::ComparisonConfig& config, std::uint32_t oracle_draws) {
  const std::string &a = config.reference, &b = config.second_reference;
  const std::uint32_t other = jobs::kMethodDraws;
  const auto single = [&](const std::string& name) {
    return Reference{.name = name,
                     .kind = ReferenceKind::single,
                     .gold = {&scores.of(name, oracle_draws)},
                     .rescored = {&scores.of(name, other)},
                     .ceiling = {}};
  };
  std::vector<Reference> references{single(a)};
  if (b.empty()) return references;
  references.push_back(single(b));
  const Pair b_against_a{&scores.of(a, oracle_draws), &scores.of(b, other)};
  const Pair a_against_b{&scores.of(b, oracle_draws), &scores.of(a, other)};
  references[0].ceiling = Contestant{.name = b, .pairs = {b_against_a}};
  references[1].ceiling = Contestant{.name = a, .pairs = {a_against_b}};
  references.push_back({.name = a + "+" + b,
                        .kind = ReferenceKind::each,
                        .gold = {&scores.of(a, oracle_draws), &scores.of(b, oracle_draws)},
                        .rescored = {&scores.of(a, other), &scores.of(b, other)},
                        .ceiling = Contestant{.name = b, .pairs = {b_against_a, a_against_b}}});
  references.push_back({.name = "mean(" + a + ", " + b + ")",
                        .kind = ReferenceKind::mean,
                        .gold = {&scores.mean(a, b, oracle_draws)},
                        .rescored = {&scores.mean(a, b, other)},
                        .ceiling = {}});
  return references;
}

/// The reference on the oracle's draws against itself on the methods' draws, whatever the draws of the view are.
Contestant rescoring(const Reference& on_oracle_draws) {
  Contestant contestant{.name = "repeatability", .pairs = {}};
  for (std::size_t i = 0; i < on_oracle_draws.gold.size(); ++i) {
    contestant.pairs.push_back({on_oracle_draws.gold[i], on_oracle_draws.rescored[i]});
  }
  return contestant;
}

using Tables = std::vector<const GroupScores*>;

/// For each entry the share of queries whose top group is the true one, averaged over the entry's tables; none when no
/// query has a known group. One pass over the resamples.
std::vector<std::optional<Interval>> true_group_top1(const std::vector<Tables>& entries, const ResultsTable& results,
                                                     const std::vector<std::size_t>& queries, std::uint64_t seed,
                                                     const jobs::ComparisonConfig& config) {
  std::vector<double> hits;  // [query, entry]
  std::vector<std::uint64_t> seeds;
  for (const std::size_t q : queries) {
    const jobs::Query& query = results.shape.queries[q];
    if (query.true_group.empty()) continue;
    seeds.push_back(query.seed);
    for (const Tables& tables : entries) {
      double hit = 0;
      for (const GroupScores* table : tables) {
        const auto top = metrics::descending_order(std::span(table->row(q), table->groups)).front();
        hit += results.shape.groups[top] == query.true_group ? 1.0 / static_cast<double>(tables.size()) : 0.0;
      }
      hits.push_back(hit);
    }
  }
  std::vector<std::optional<Interval>> shares(entries.size());
  if (seeds.empty()) return shares;
  const std::vector<double> resampled = resampled_means(Resampler(seeds, seed), config.bootstrap, hits, entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    double sum = 0;
    for (std::size_t q = 0; q < seeds.size(); ++q) sum += hits[q * entries.size() + i];
    std::vector<double> values(config.bootstrap);
    for (std::uint32_t b = 0; b < config.bootstrap; ++b) values[b] = resampled[b * entries.size() + i];
    shares[i] = percentile_interval(sum / static_cast<double>(seeds.size()), std::move(values), config.confidence);
  }
  return shares;
}

/// Metrics of every contestant, in their order, with p-values against the best of each.
std::vector<std::map<std::string, MetricAgreement>> agreement_of(const std::vector<Contestant>& contestants,
                                                                 const PairAgreements& agreements, double confidence) {
  std::vector<Measured> measured;
  for (const Contestant& c : contestants) measured.push_back(agreements.mean_of(c.pairs));
  std::vector<std::map<std::string, MetricAgreement>> all(contestants.size());
  for (std::size_t m = 0; m < kMetricCount; ++m) {
    std::size_t best = 0;
    const bool lower = metrics::lower_is_better(metric_name(m));
    for (std::size_t i = 1; i < measured.size(); ++i) {
      const double here = measured[i].value[m], there = measured[best].value[m];
      if (lower ? here < there : here > there) best = i;
    }
    for (std::size_t i = 0; i < measured.size(); ++i) {
      MetricAgreement& entry = all[i][metric_name(m)];
      entry.estimate = percentile_interval(measured[i].value[m], measured[i].resampled[m], confidence);
      if (m < kPerQueryCount) entry.median = measured[i].median[m], entry.sd = measured[i].sd[m];
      const auto p_of = [&](const std::vector<double>& winner, const std::vector<double>& other) {
        return i == best ? 1.0 : lower ? p_not_better(other, winner) : p_not_better(winner, other);
      };
      entry.p_vs_best = p_of(measured[best].resampled[m], measured[i].resampled[m]);
      if (measured[i].by_groups.empty()) continue;
      entry.over_groups = percentile_interval(measured[i].value[m], measured[i].by_groups[m], confidence);
      entry.p_vs_best_over_groups = p_of(measured[best].by_groups[m], measured[i].by_groups[m]);
    }
  }
  return all;
}

/// By list of queries: views of one query set and weighting differ in what is evaluated only while a run goes on.
using Agreements = std::map<std::vector<std::size_t>, PairAgreements>;

/// The queries of each class: the true group where a query has one, else the group that the reference puts first.
std::map<std::string, std::vector<std::size_t>> classes_of(const Reference& reference, const ResultsTable& table,
                                                           const std::vector<std::size_t>& queries) {
  std::map<std::string, std::vector<std::size_t>> classes;
  const GroupScores& oracle = *reference.gold.front();
  for (const std::size_t q : queries) {
    const jobs::Query& query = table.shape.queries[q];
    const auto top = metrics::descending_order(std::span(oracle.row(q), oracle.groups)).front();
    classes[query.true_group.empty() ? table.shape.groups[top] : query.true_group].push_back(q);
  }
  return classes;
}

/// Agreement within the queries of each class, resampled within it.
void fill_classes(View& view, const std::vector<Contestant>& contestants, const Reference& reference,
                  Agreements& agreements, const ResultsTable& table, const std::vector<std::size_t>& queries,
                  std::uint64_t seed, const jobs::ComparisonConfig& config) {
  std::vector<Pair> pairs;
  for (const Contestant& c : contestants) pairs.insert(pairs.end(), c.pairs.begin(), c.pairs.end());
  for (const auto& [name, members] : classes_of(reference, table, queries)) {
    std::vector<std::uint64_t> seeds;
    for (const std::size_t q : members) seeds.push_back(table.shape.queries[q].seed);
    PairAgreements& measured =
        agreements.try_emplace(members, members, seeds, seed, config.bootstrap, queries).first->second;
    measured.measure(pairs);
    auto metrics = agreement_of(contestants, measured, config.confidence);
    for (std::size_t i = 0; i < contestants.size(); ++i)
      view.methods[contestants[i].name].by_class[name] = {members.size(), std::move(metrics[i])};
  }
}

/// What queries were asked for, by name: text-to-image queries only.
using Prompts = std::map<std::string, std::string>;

Prompts prompts_of(const jobs::Plan& plan) {
  Prompts prompts;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
    if (sample == nullptr || !jobs::makes_queries(*sample)) continue;
    for (std::size_t i = 0; i < sample->prompts.size(); ++i) prompts[sample->names[i]] = sample->prompts[i];
  }
  return prompts;
}

/// A number for the group of each query: its true group, else its prompt. Empty when a query has neither, or there is
/// one group only.
std::vector<std::uint64_t> query_groups_of(const std::vector<std::size_t>& queries, const ResultsTable& table,
                                           const Prompts& prompts) {
  std::map<std::string, std::uint64_t> numbers;
  std::vector<std::uint64_t> groups;
  for (const std::size_t q : queries) {
    const jobs::Query& query = table.shape.queries[q];
    const auto prompt = prompts.find(query.name);
    if (query.true_group.empty() && prompt == prompts.end()) return {};
    const std::string label = query.true_group.empty() ? "prompt: " + prompt->second : "group: " + query.true_group;
    groups.push_back(numbers.try_emplace(label, numbers.size()).first->second);
  }
  return numbers.size() > 1 ? groups : std::vector<std::uint64_t>{};
}

bool is_generated(const jobs::Experiment& experiment, const std::string& set) {
  return std::any_of(experiment.queries.begin(), experiment.queries.end(),
                     [&](const auto& q) { return q.name == set && q.kind == "generated"; });
}

/// One view, or none when its reference has no evaluated query.
std::optional<View> view_of(View view, const Reference& reference, const Reference& on_oracle_draws, Scores& scores,
                            Agreements& agreements, const ResultsTable& table, const jobs::Plan& plan,
                            const Prompts& prompts, const std::map<std::string, MethodFacts>& facts) {
  const jobs::ComparisonConfig& config = plan.experiment.comparison;
  std::vector<std::size_t> all;
  for (std::size_t q = 0; q < table.queries(); ++q) {
    if (table.shape.queries[q].set == view.query_set) all.push_back(q);
  }
  view.role = all.empty() ? "reported" : table.shape.queries[all.front()].role;
  view.asked_for = !plan.experiment.pipeline.empty() && is_generated(plan.experiment, view.query_set);
  const Contestant itself{.name = reference.name, .pairs = {{reference.gold.front(), reference.gold.back()}}};
  if (!any_evaluated(itself, all)) return std::nullopt;

  std::vector<Contestant> contestants;
  for (const auto& method : plan.experiment.methods) {
    if (is_reference(plan.experiment, method.name)) continue;
    Contestant contestant = against(reference, method.name, scores.of(method.name, jobs::kMethodDraws));
    if (any_evaluated(contestant, all)) {
      contestants.push_back(std::move(contestant));
    } else {
      view.missing.push_back(method.name);
    }
  }
  std::optional<Contestant> ceiling = reference.ceiling, repeatability = rescoring(on_oracle_draws);
  if (ceiling && !any_evaluated(*ceiling, all)) ceiling.reset();
  if (!any_evaluated(*repeatability, all)) repeatability.reset();

  std::vector<std::size_t> queries;
  std::vector<std::uint64_t> seeds;
  for (const std::size_t q : all) {
    const bool complete = evaluated(itself, q) && (!ceiling || evaluated(*ceiling, q)) &&
                          (!repeatability || evaluated(*repeatability, q)) &&
                          std::all_of(contestants.begin(), contestants.end(), [&](auto& c) { return evaluated(c, q); });
    if (!complete) continue;
    queries.push_back(q);
    seeds.push_back(table.shape.queries[q].seed);
  }
  view.queries = queries.size();
  view.left_out = all.size() - queries.size();
  view.groups = table.groups();
  for (std::size_t m = 0; m < kMetricCount; ++m) {
    if (metrics::has_chance(metric_name(m))) view.chance[metric_name(m)] = metrics::chance(metric_name(m), view.groups);
  }
  if (queries.empty()) return view;

  const std::uint64_t seed = (SeedPath(config.seed) / "comparison" / view.query_set).value();
  const std::vector<std::uint64_t> query_groups = query_groups_of(queries, table, prompts);
  if (!query_groups.empty()) view.query_groups = std::set(query_groups.begin(), query_groups.end()).size();
  PairAgreements& measured =
      agreements.try_emplace(queries, queries, seeds, seed, config.bootstrap, queries, query_groups).first->second;
  std::vector<Pair> pairs = repeatability ? repeatability->pairs : std::vector<Pair>{};
  if (ceiling) pairs.insert(pairs.end(), ceiling->pairs.begin(), ceiling->pairs.end());
  for (const Contestant& c : contestants) pairs.insert(pairs.end(), c.pairs.begin(), c.pairs.end());
  measured.measure(pairs);
  const auto fill = [&](const Contestant& yardstick, auto& usual, auto& over_groups) {
    const Measured mean = measured.mean_of(yardstick.pairs);
    usual = yardstick_of(mean, mean.resampled, config.confidence);
    over_groups = over_groups_of(mean, config.confidence);
  };
  if (repeatability) fill(*repeatability, view.repeatability, view.repeatability_over_groups);
  if (ceiling) fill(*ceiling, view.ceiling, view.ceiling_over_groups);
  auto metrics = agreement_of(contestants, measured, config.confidence);
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    MethodAgreement& method = view.methods[contestants[i].name];
    method.metrics = std::move(metrics[i]);
    if (const auto known = facts.find(contestants[i].name); known != facts.end()) method.facts = known->second;
  }
  fill_classes(view, contestants, reference, agreements, table, queries, seed, config);
  std::vector<Tables> ranked{reference.gold};
  for (const Contestant& c : contestants) ranked.push_back({c.pairs[0].predicted});
  const auto shares = true_group_top1(ranked, table, queries, seed, config);
  view.reference_true_group_top1 = shares[0];
  for (std::size_t i = 0; i < contestants.size(); ++i)
    view.methods[contestants[i].name].true_group_top1 = shares[i + 1];
  return view;
}

/// Score tables of one weighting and the references made of them.
struct WeightingScores {
  Scores scores;
  std::vector<Reference> oracle, shared;  ///< on the oracle's draws, on those of the methods
};

std::vector<std::string> query_sets_of(const ResultsTable& table) {
  std::vector<std::string> sets;
  for (const auto& query : table.shape.queries) {
    if (std::find(sets.begin(), sets.end(), query.set) == sets.end()) sets.push_back(query.set);
  }
  return sets;
}

}  // namespace

const char* to_string(ReferenceKind kind) noexcept {
  switch (kind) {
    case ReferenceKind::single:
      return "single";
    case ReferenceKind::each:
      return "each";
    case ReferenceKind::mean:
      return "mean";
  }
  return "unknown";
}

Comparison over_groups(Comparison comparison) {
  comparison.over_groups = true;
  std::erase_if(comparison.views, [](const View& view) { return view.query_groups == 0; });
  for (View& view : comparison.views) {
    if (view.ceiling_over_groups) view.ceiling = view.ceiling_over_groups;
    if (view.repeatability_over_groups) view.repeatability = view.repeatability_over_groups;
    for (auto& [name, method] : view.methods) {
      for (auto& [metric, entry] : method.metrics) {
        entry.estimate = *entry.over_groups;
        entry.p_vs_best = entry.p_vs_best_over_groups;
      }
    }
  }
  return comparison;
}

Comparison compare(const ResultsTable& table, const jobs::Plan& plan, const std::map<std::string, MethodFacts>& facts) {
  const jobs::ComparisonConfig& config = plan.experiment.comparison;
  Comparison comparison{
      .views = {}, .race = race_report(table, plan), .resamples = config.bootstrap, .confidence = config.confidence};
  comparison.text_to_image = !plan.experiment.pipeline.empty();
  const bool has_reference = std::any_of(plan.experiment.methods.begin(), plan.experiment.methods.end(),
                                         [&](const auto& m) { return m.name == config.reference; });
  if (!has_reference) return comparison;
  const auto weightings = jobs::weightings_of(plan.experiment);
  std::vector<WeightingScores> by_weighting;
  by_weighting.reserve(weightings.size());
  for (const auto& weighting : weightings) {
    Scores& scores = by_weighting.emplace_back(WeightingScores{{table, plan, weighting}, {}, {}}).scores;
    by_weighting.back().oracle = references_of(scores, config, jobs::kOracleDraws);
    by_weighting.back().shared = references_of(scores, config, jobs::kMethodDraws);
  }
  const Prompts prompts = prompts_of(plan);
  for (const std::string& query_set : query_sets_of(table)) {
    for (std::size_t w = 0; w < weightings.size(); ++w) {
      auto& [scores, oracle, shared] = by_weighting[w];
      Agreements agreements;
      for (const bool independent : {true, false}) {
        for (std::size_t i = 0; i < oracle.size(); ++i) {
          const Reference& reference = independent ? oracle[i] : shared[i];
          View view;
          view.query_set = query_set;
          view.weighting = weightings[w].name;
          view.draws = independent ? "independent" : "same";
          view.reference = reference.name;
          view.kind = reference.kind;
          auto filled = view_of(std::move(view), reference, oracle[i], scores, agreements, table, plan, prompts, facts);
          if (filled) comparison.views.push_back(std::move(*filled));
        }
      }
    }
  }
  return comparison;
}

}  // namespace guda::orchestrator
