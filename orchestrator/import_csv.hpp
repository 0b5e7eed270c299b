#pragma once
// Scores that were made elsewhere: our own export and the layouts of GUDA's released evaluation, read back so that
// recorded numbers can be compared, with a run or among themselves.
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/comparison.hpp"

namespace guda::orchestrator {

/// The fields of RFC 4180 text, a row each; empty lines left out. Throws Error on a quote that is not closed.
[[nodiscard]] std::vector<std::vector<std::string>> csv_rows(std::string_view text);

/// One table of scores [image, group].
struct RecordedScores {
  std::vector<std::string> images;       ///< in the order of the file; names, or paths as written
  std::vector<std::string> groups;       ///< names; class numbers where `numbered`
  bool numbered = false;                 ///< the file knows groups by their number
  std::vector<std::string> names;        ///< of numbered groups 0, 1, ... where the file has them; else empty
  std::vector<double> score;             ///< NaN where the file has none
  std::vector<std::string> true_groups;  ///< of every image; empty where not known
};

/// Reads a table by its header:
///   query,set,group,score,stderr                                               guda export
///   image,R1_Cls,R1_Name,R1_Sc,R2_Cls,...                                      released, CIFAR-10, sorted
///   image,class_id,<score>                                                     released, CIFAR-10, a row for each
///   score image_id,<group>,<group>,...                                               released, CIFAR-10, a column for
///   each group generated_style,object_name,attribution_style,<score>,image_path           released, UnlearnCanvas
/// Throws Error naming file, line and cure: an unknown header, a score that is no number, an image that has a group
/// twice.
[[nodiscard]] RecordedScores read_scores_csv(const std::filesystem::path& file);

/// Agreement of recorded tables with a recorded oracle: one view, of draws "recorded". Images are joined by name (of
/// paths the last part, where that is unique), never by row; groups by name, blanks and underscores being the same.
/// Throws Error when a table has other groups than the oracle, or no image in common with it.
[[nodiscard]] Comparison compare_recorded(const std::string& oracle_name, const RecordedScores& oracle,
                                          const std::map<std::string, RecordedScores>& methods);

/// Adds recorded scores to a run as one more method, joined in the same way; class numbers are those of the run's
/// groups. Images that the run does not have are left out. Throws Error when there is none that it has, when groups
/// are not its own, and when it has a method of that name.
void add_recorded(jobs::Plan& plan, ResultsTable& table, const std::string& name, const RecordedScores& scores);

}  // namespace guda::orchestrator
