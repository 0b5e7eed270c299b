#include "orchestrator/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/digest.hpp"
#include "common/metrics.hpp"
#include "orchestrator/group_scores.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::size_t kPerQuery = metrics::kPerQuery.size();
constexpr std::size_t kSums = 6;

/// Who is held against what: the mean over the pairs is the agreement.
struct Pair {
  const GroupScores* gold;
  const GroupScores* predicted;
};

struct Contestant {
  std::string name;
  std::vector<Pair> pairs;
};

/// Agreement of one contestant: values of the metrics (kPerQuery, then pooled_r) on the sample and on every resample.
struct Measured {
  std::vector<double> value;                   ///< [metric]
  std::vector<std::vector<double>> resampled;  ///< [metric][resample]
};

std::string metric_name(std::size_t m) { return std::string(m < kPerQuery ? metrics::kPerQuery[m] : metrics::kPooled); }

double mean_score(const GroupScores& scores, const std::vector<std::size_t>& queries) {
  double sum = 0;
  for (const std::size_t q : queries) sum = std::accumulate(scores.row(q), scores.row(q) + scores.groups, sum);
  return sum / static_cast<double>(queries.size() * scores.groups);
}

std::size_t columns_of(const Contestant& contestant) { return kPerQuery + kSums * contestant.pairs.size(); }

/// Columns of one contestant: the per-query metrics averaged over the pairs, then kSums sums of each pair. `out` is its
/// first cell, `stride` the length of a row.
void fill_columns(const Contestant& contestant, const std::vector<std::size_t>& queries, double* out,
                  std::size_t stride) {
  for (std::size_t p = 0; p < contestant.pairs.size(); ++p) {
    const auto [gold, predicted] = contestant.pairs[p];
    const double gold_centre = mean_score(*gold, queries), predicted_centre = mean_score(*predicted, queries);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const std::span<const double> g(gold->row(queries[i]), gold->groups),
          s(predicted->row(queries[i]), predicted->groups);
      double* const row = out + i * stride;
      const metrics::PerQuery values = metrics::per_query(g, s);
      for (std::size_t m = 0; m < kPerQuery; ++m) row[m] += values[m] / static_cast<double>(contestant.pairs.size());
      const metrics::PooledSums sums = metrics::pooled_sums(g, s, gold_centre, predicted_centre);
      double* const cell = row + kPerQuery + kSums * p;
      cell[0] = sums.n, cell[1] = sums.g, cell[2] = sums.p, cell[3] = sums.gg, cell[4] = sums.pp, cell[5] = sums.gp;
    }
  }
}

/// Metric m from the mean of the columns; r does not change when all sums are divided by the number of queries.
double metric_of(const double* means, std::size_t m, std::size_t pairs) {
  if (m < kPerQuery) return means[m];
  double sum = 0;
  for (std::size_t p = 0; p < pairs; ++p) {
    const double* const s = means + kPerQuery + kSums * p;
    sum += metrics::PooledSums{.n = s[0], .g = s[1], .p = s[2], .gg = s[3], .pp = s[4], .gp = s[5]}.r();
  }
  return sum / static_cast<double>(pairs);
}

/// All contestants on the same resamples.
std::vector<Measured> measure(const std::vector<Contestant>& contestants, const std::vector<std::size_t>& queries,
                              const Resampler& resampler, std::uint32_t resamples) {
  std::vector<std::size_t> first{0};
  for (const Contestant& c : contestants) first.push_back(first.back() + columns_of(c));
  const std::size_t columns = first.back();
  std::vector<double> table(queries.size() * columns, 0.0), means(columns, 0.0);
  for (std::size_t i = 0; i < contestants.size(); ++i)
    fill_columns(contestants[i], queries, table.data() + first[i], columns);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    for (std::size_t c = 0; c < columns; ++c) means[c] += table[i * columns + c];
  }
  for (double& mean : means) mean /= static_cast<double>(queries.size());
  const std::vector<double> resampled = resampled_means(resampler, resamples, table, columns);
  std::vector<Measured> results(contestants.size());
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const std::size_t pairs = contestants[i].pairs.size();
    for (std::size_t m = 0; m <= kPerQuery; ++m) {
      results[i].value.push_back(metric_of(means.data() + first[i], m, pairs));
      std::vector<double> values(resamples);
      for (std::uint32_t b = 0; b < resamples; ++b) {
        values[b] = metric_of(resampled.data() + b * columns + first[i], m, pairs);
      }
      results[i].resampled.push_back(std::move(values));
    }
  }
  return results;
}

Yardstick yardstick_of(const Measured& measured, double confidence) {
  Yardstick yardstick;
  for (std::size_t m = 0; m <= kPerQuery; ++m) {
    yardstick[metric_name(m)] = percentile_interval(measured.value[m], measured.resampled[m], confidence);
  }
  return yardstick;
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

/// Share of queries whose top group is the true one, averaged over the tables; none when no query has a known group.
std::optional<Interval> true_group_top1(const std::vector<const GroupScores*>& tables, const ResultsTable& results,
                                        const std::vector<std::size_t>& queries, std::uint64_t seed,
                                        const jobs::ComparisonConfig& config) {
  std::vector<double> hits;
  std::vector<std::uint64_t> seeds;
  for (const std::size_t q : queries) {
    const jobs::Query& query = results.shape.queries[q];
    if (query.true_group.empty()) continue;
    double hit = 0;
    for (const GroupScores* table : tables) {
      const auto top = metrics::descending_order(std::span(table->row(q), table->groups)).front();
      hit += results.shape.groups[top] == query.true_group ? 1.0 / static_cast<double>(tables.size()) : 0.0;
    }
    hits.push_back(hit);
    seeds.push_back(query.seed);
  }
  if (hits.empty()) return std::nullopt;
  const double value = std::accumulate(hits.begin(), hits.end(), 0.0) / static_cast<double>(hits.size());
  return percentile_interval(value, resampled_means(Resampler(seeds, seed), config.bootstrap, hits, 1),
                             config.confidence);
}

void fill_methods(View& view, const std::vector<Contestant>& contestants, const std::vector<Measured>& measured,
                  const std::map<std::string, MethodFacts>& facts, double confidence) {
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const auto known = facts.find(contestants[i].name);
    view.methods[contestants[i].name].facts = known == facts.end() ? MethodFacts{} : known->second;
  }
  for (std::size_t m = 0; m <= kPerQuery; ++m) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < measured.size(); ++i) {
      if (measured[i].value[m] > measured[best].value[m]) best = i;
    }
    for (std::size_t i = 0; i < measured.size(); ++i) {
      MetricAgreement& entry = view.methods[contestants[i].name].metrics[metric_name(m)];
      entry.estimate = percentile_interval(measured[i].value[m], measured[i].resampled[m], confidence);
      entry.p_vs_best = i == best ? 1.0 : p_not_better(measured[best].resampled[m], measured[i].resampled[m]);
    }
  }
}

/// One view, or none when its reference has no evaluated query.
std::optional<View> view_of(View view, const Reference& reference, const Reference& on_oracle_draws, Scores& scores,
                            const ResultsTable& table, const jobs::Plan& plan,
                            const std::map<std::string, MethodFacts>& facts) {
  const jobs::ComparisonConfig& config = plan.experiment.comparison;
  std::vector<std::size_t> all;
  for (std::size_t q = 0; q < table.queries(); ++q) {
    if (table.shape.queries[q].set == view.query_set) all.push_back(q);
  }
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
  for (std::size_t m = 0; m <= kPerQuery; ++m)
    view.chance[metric_name(m)] = metrics::chance(metric_name(m), view.groups);
  if (queries.empty()) return view;

  const std::uint64_t seed = (SeedPath(config.seed) / "comparison" / view.query_set).value();
  const Resampler resampler(seeds, seed);
  std::vector<Contestant> shown = contestants;
  if (ceiling) shown.push_back(*ceiling);
  if (repeatability) shown.push_back(*repeatability);
  std::vector<Measured> measured = measure(shown, queries, resampler, config.bootstrap);
  if (repeatability) {
    view.repeatability = yardstick_of(measured.back(), config.confidence);
    measured.pop_back();
  }
  if (ceiling) {
    view.ceiling = yardstick_of(measured.back(), config.confidence);
    measured.pop_back();
  }
  fill_methods(view, contestants, measured, facts, config.confidence);
  for (const Contestant& c : contestants) {
    view.methods[c.name].true_group_top1 = true_group_top1({c.pairs[0].predicted}, table, queries, seed, config);
  }
  view.reference_true_group_top1 = true_group_top1(reference.gold, table, queries, seed, config);
  return view;
}

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

Comparison compare(const ResultsTable& table, const jobs::Plan& plan, const std::map<std::string, MethodFacts>& facts) {
  const jobs::ComparisonConfig& config = plan.experiment.comparison;
  Comparison comparison{.views = {}, .resamples = config.bootstrap, .confidence = config.confidence};
  const bool has_reference = std::any_of(plan.experiment.methods.begin(), plan.experiment.methods.end(),
                                         [&](const auto& m) { return m.name == config.reference; });
  if (!has_reference) return comparison;
  const auto weightings = weightings_of(plan.experiment);
  for (const std::string& query_set : query_sets_of(table)) {
    for (const auto& weighting : weightings) {
      Scores scores(table, plan, weighting);
      const auto oracle = references_of(scores, config, jobs::kOracleDraws);
      const auto shared = references_of(scores, config, jobs::kMethodDraws);
      for (const bool independent : {true, false}) {
        for (std::size_t i = 0; i < oracle.size(); ++i) {
          const Reference& reference = independent ? oracle[i] : shared[i];
          View view;
          view.query_set = query_set;
          view.weighting = weighting.name;
          view.draws = independent ? "independent" : "same";
          view.reference = reference.name;
          view.kind = reference.kind;
          auto filled = view_of(std::move(view), reference, oracle[i], scores, table, plan, facts);
          if (filled) comparison.views.push_back(std::move(*filled));
        }
      }
    }
  }
  return comparison;
}

}  // namespace guda::orchestrator
