#pragma once
// How well each method agrees with the LOGO oracle, from stored results only. Pure: equal input, equal numbers.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/bootstrap.hpp"
#include "common/json.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/race_outcome.hpp"
#include "orchestrator/results_file.hpp"

namespace guda::orchestrator {

/// What the comparison is told about a method beside its results.
struct MethodFacts {
  double device_seconds = 0;  ///< spent on everything that only this method needs
  std::string fidelity;       ///< released-code parity | paper formula | our reconstruction
};

struct MetricAgreement {
  Interval estimate;
  /// One-sided paired bootstrap p-value of "the best method of this metric > this one"; 1 for the best itself.
  double p_vs_best = 1;
  /// The same where whole groups of queries are resampled (View::query_groups): the queries of a group are correlated.
  std::optional<Interval> over_groups;
  double p_vs_best_over_groups = 1;
  /// Over the queries, of metrics that are a mean over them; the mean of both where there are two references.
  std::optional<double> median, sd;
};

/// Agreement on the queries of one class: to see where a method fails.
struct ClassAgreement {
  std::size_t queries = 0;
  std::map<std::string, MetricAgreement> metrics;  ///< within the class; p_vs_best too
};

struct MethodAgreement {
  MethodFacts facts;
  std::map<std::string, MetricAgreement> metrics;
  /// Share of queries with a known group whose top group is that group; none without such queries.
  std::optional<Interval> true_group_top1;
  /// By class: the true group of a query, else the group that the reference puts first.
  std::map<std::string, ClassAgreement> by_class;
};

/// By metric name.
using Yardstick = std::map<std::string, Interval>;

/// What a view holds the methods against.
enum class ReferenceKind {
  single,  ///< one LOGO; the ceiling is the other LOGO seed against it
  each,    ///< mean of the agreement with either LOGO; the ceiling is the mean of each against the other
  mean     ///< agreement with the mean of both LOGO scores: has no ceiling, never compare it with one
};
[[nodiscard]] const char* to_string(ReferenceKind kind) noexcept;

/// One query set x weighting x draws x reference.
struct View {
  std::string query_set, weighting;
  std::string role = "reported";  ///< of the query set; tuning: settings were chosen on it
  std::string draws;              ///< "independent": the oracle on its own draw set; "same": on that of the methods
  std::string reference;          ///< "logo", "logo_b", "logo+logo_b" (each), "mean(logo, logo_b)"
  ReferenceKind kind = ReferenceKind::single;
  std::size_t queries = 0;   ///< evaluated for everything shown
  std::size_t left_out = 0;  ///< queries of the set that are not (yet) evaluated for everything shown
  std::size_t groups = 0;
  /// Groups of queries: by true group, class or style asked for, else by prompt. 0: some query has none, or there is
  /// one group only; then nothing is resampled over them.
  std::size_t query_groups = 0;
  bool asked_for = false;  ///< the groups of queries are what prompts asked for, not what is known of given images
  std::map<std::string, double> chance;
  std::optional<Yardstick> ceiling;        ///< another LOGO seed in the place of a method
  std::optional<Yardstick> repeatability;  ///< the reference itself, re-scored on the other draw set
  std::optional<Yardstick> ceiling_over_groups, repeatability_over_groups;
  std::map<std::string, MethodAgreement> methods;
  std::vector<std::string> missing;  ///< methods without one fully evaluated query
  std::optional<Interval> reference_true_group_top1;
};

struct Comparison {
  std::vector<View> views;
  RaceReport race;  ///< of scores that were raced for: their ranks are answers to its question, the rest best guesses
  std::uint32_t resamples = 0;
  double confidence = 0.95;
  bool over_groups = false;    ///< intervals and p-values are those over groups of queries
  bool text_to_image = false;  ///< tables show the metrics of UnlearnCanvas (methods.md 2.6) instead of CIFAR-10's
};

/// The same with all intervals and p-values over groups of queries; views without such groups are left out.
[[nodiscard]] Comparison over_groups(Comparison comparison);

/// All views of the experiment. Intervals are percentile bootstrap over queries, clustered by run seed when there are
/// several, and beside them over whole groups of queries, those of all seeds together; all methods of a view share the
/// resamples. Views whose reference has no evaluated query are left out. The references are no rows of `methods`.
/// Methods without an entry in `facts` get zero seconds and an empty fidelity.
[[nodiscard]] Comparison compare(const ResultsTable& table, const jobs::Plan& plan,
                                 const std::map<std::string, MethodFacts>& facts);

/// The tables by class of queries, as wide as they are; every view of `comparison`.
[[nodiscard]] std::string class_table(const Comparison& comparison);

/// Schema 1 of `guda compare --json` (docs/formats.md).
[[nodiscard]] Json to_json(const Comparison& comparison);

/// The tables for a terminal of `width` columns: columns that don't fit are dropped from the right.
[[nodiscard]] std::string comparison_table(const Comparison& comparison, std::size_t width);

}  // namespace guda::orchestrator
