#pragma once
// Evaluation that needs no oracle, from what a run has stored: the linear datamodelling score, removal of the top
// training items, self-influence. docs/methods.md has the formulas.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/bootstrap.hpp"
#include "common/json.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/results_file.hpp"

namespace guda::orchestrator {

/// Linear datamodelling scores of one query set x weighting.
struct DatamodelView {
  std::string query_set, role, weighting;
  std::size_t queries = 0, subsets = 0;     ///< evaluated under all these subset models
  std::map<std::string, Interval> methods;  ///< mean over queries of the rank correlation over subset models
};

/// Queries beside themselves drawn again.
struct RemovalChange {
  Interval ssim, distance;            ///< distance: root mean square
  std::optional<Interval> embedding;  ///< cosine distance in the features of evaluation.removal.encoder
};

/// What became of the queries when a method's top items were gone, over the run seeds.
struct RemovalRow {
  std::string method;                     ///< "random items" for the control
  std::size_t removed = 0;                ///< training items, mean over the run seeds
  RemovalChange attributed;               ///< of the queries whose items were removed
  std::optional<RemovalChange> controls;  ///< of the queries that nothing was removed for
};

struct RemovalView {
  std::string query_set;
  std::uint32_t items = 0, attributed = 0;  ///< per query and run seed; queries per run seed
  std::vector<RemovalRow> rows;
};

/// Where training images find themselves among the items that a method holds for the most influential on them.
struct SelfInfluence {
  std::string method, query_set;
  std::size_t queries = 0, kept = 0;
  double first = 0, found = 0;        ///< shares: rank 1; among the kept items at all
  std::optional<double> median_rank;  ///< none where it lies beyond the kept items
};

struct Evaluation {
  std::vector<DatamodelView> datamodel;
  std::optional<RemovalView> removal;
  std::vector<SelfInfluence> self_influence;
  std::vector<std::string> missing;  ///< what was planned and is not there (yet), one line each
};

/// Mean of one value a query, with the interval of compare(); `seeds`: the run seed of each.
[[nodiscard]] Interval mean_interval(const std::vector<double>& values, const std::vector<std::uint64_t>& seeds,
                                     const jobs::ComparisonConfig& config);

/// For every query: Spearman's correlation, over the subset models, of the sum of a method's scores of the removed
/// groups (on the methods' draws) with the loss that the model gains over the full one (on the oracle's draws). Every
/// method of the experiment is a row, the oracle too. Views without a query that all subset models have scored are left
/// out; methods without a fully evaluated query are no row. Intervals as of compare(). Pure.
[[nodiscard]] std::vector<DatamodelView> datamodel_scores(const ResultsTable& table, const jobs::Plan& plan);

/// Reads the artifacts of `plan` below `folders`; what is not there is named in `missing`.
[[nodiscard]] std::optional<RemovalView> removal_effects(const std::vector<std::filesystem::path>& folders,
                                                         const jobs::Plan& plan, std::vector<std::string>& missing);
[[nodiscard]] std::vector<SelfInfluence> self_influences(const std::vector<std::filesystem::path>& folders,
                                                         const jobs::Plan& plan, std::vector<std::string>& missing);

/// Schema 1 of `guda evaluate --json` (docs/formats.md), and tables for a terminal.
[[nodiscard]] Json to_json(const Evaluation& evaluation);
[[nodiscard]] std::string evaluation_tables(const Evaluation& evaluation);

}  // namespace guda::orchestrator
