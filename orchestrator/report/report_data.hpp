#pragma once
// Everything that report.html shows, as plain values. Whoever reads the run fills them; what is left empty is said to
// be missing in the report, with the sentence of `why_missing` where there is one.
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::orchestrator::report {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// A picture in the layout of jobs::Dataset: [channel, row, column], byte b is the grey value b / (levels - 1).
struct Picture {
  std::uint32_t channels = 1;  ///< 1 (grey) or 3 (RGB)
  std::uint32_t height = 0, width = 0;
  std::uint32_t levels = 256;
  std::vector<std::uint8_t> pixels;
  [[nodiscard]] bool empty() const noexcept { return pixels.empty(); }
};

struct MethodInfo {
  std::string name;         ///< as in the experiment and in results.h5
  std::string kind;         ///< reference | guda | control | other: its colour, and its place in the answer
  std::string description;  ///< one line; shown in the legend of methods; may be empty
};

struct GroupScore {
  std::string group;
  double score = kUnknown;
  double standard_error = kUnknown;  ///< of the noise draws; NaN where the method has none
};

/// What one method says about one query.
struct MethodAnswer {
  std::string method;
  std::vector<GroupScore> top;  ///< descending score; the report shows three
  bool undecided = false;       ///< see undecided()
};

/// True when the two best differ by less than two standard errors of their difference. The two errors are combined as
/// if independent, which is cautious: both scores share the full model's noise draws. False without standard errors.
[[nodiscard]] bool undecided(const std::vector<GroupScore>& descending);

struct QueryCard {
  std::string name;
  std::string set;         ///< query set
  std::string true_group;  ///< empty: not known
  std::string prompt;      ///< of a text-to-image model; empty for others
  Picture picture;
  std::vector<MethodAnswer> answers;  ///< the reference's first
  bool asked_for = false;             ///< true_group is what the prompt asked for, not what is known of the picture
};

/// Mean score of the queries of each class for each group, for one method.
struct Heatmap {
  std::string method;
  std::string query_set;
  std::vector<std::string> rows;       ///< query classes
  std::vector<std::string> columns;    ///< groups
  std::vector<double> mean;            ///< [row, column]; NaN where not evaluated
  std::vector<std::uint32_t> queries;  ///< [row] how many queries the mean is over; may be empty
};

/// Mean weighted loss difference per timestep, for one method; averaged over queries (and over draws of a timestep).
struct TimestepProfile {
  std::string method;
  std::string query_set;
  std::vector<std::uint32_t> timestep;  ///< ascending
  std::vector<double> own, others;      ///< [timestep] for the query's own group, and the mean over the other groups
  std::vector<double> own_error, others_error;  ///< [timestep] standard errors; may be empty
};

/// Pictures that the counterfactual models draw; column j of every row starts from the same initial noise.
struct Gallery {
  struct Row {
    std::string group;              ///< the group that was removed
    std::vector<Picture> pictures;  ///< [column]; an empty picture is shown as a gap
  };
  struct Block {
    std::string method;
    std::vector<Row> rows;
  };
  /// What a text-to-image model was told in a column.
  struct Prompt {
    std::string text;
    std::string group;  ///< whose style it asks for; empty: of none
  };
  std::vector<Prompt> prompts;  ///< [column]; empty for models without text
  std::vector<Picture> full;    ///< [column] the full model
  std::vector<Block> blocks;    ///< the reference's first
};

/// GUARD's alignments of the groups under one unlearning method, and what its models lose elsewhere.
struct Entanglement {
  struct Row {
    std::string group;
    std::size_t images = 0;
    double alignment = kUnknown, spread = kUnknown;  ///< mean and standard deviation over the group's images
    double damage = kUnknown;  ///< mean score of the queries of other groups; NaN while not evaluated
  };
  std::string method;
  std::vector<Row> rows;
};

struct MethodCost {
  struct Part {
    std::string kind;  ///< train | unlearn | score | sample | attribute
    double device_seconds = 0;
    std::uint64_t jobs = 0;
  };
  std::string method;  ///< a method, or "full" for what all share
  std::vector<Part> parts;
};

struct ReportData {
  std::string title;
  std::string created;             ///< e.g. "2026-01-31 14:05 UTC"
  std::string experiment;          ///< name of the experiment
  std::string reference = "logo";  ///< name of the oracle
  std::string score_unit = "nats";
  std::vector<std::string> groups;
  std::uint32_t seeds = 1;          ///< run seeds
  double confidence = 0.95;         ///< of the intervals in `comparison`
  std::vector<MethodInfo> methods;  ///< in the order to show them
  std::vector<QueryCard> cards;
  Json comparison = Json::object();  ///< as printed by `guda compare --json`, schema 1
  std::vector<Heatmap> heatmaps;
  std::string own_group;  ///< what "own group" means in `profiles`, as the end of "own group = ..."
  std::vector<TimestepProfile> profiles;
  Gallery gallery;
  std::vector<Entanglement> entanglement;  ///< empty: no method weighs by GUARD, and the report has no such section
  std::vector<MethodCost> costs;
  Json provenance = Json::object();
  std::vector<std::string> warnings;  ///< whole sentences: "3 of 256 queries were not evaluated."
  /// Why a part is empty, as a whole sentence. Keys: cards, comparison, ceiling, repeatability, heatmaps, profiles,
  /// gallery, costs, provenance.
  std::map<std::string, std::string> why_missing;
};

}  // namespace guda::orchestrator::report
