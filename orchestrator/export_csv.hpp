#pragma once
// `guda export --csv DIR`: scores and comparison as RFC 4180 tables for spreadsheets, R and pandas.
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/plan.hpp"
#include "orchestrator/comparison.hpp"
#include "orchestrator/results_file.hpp"

namespace guda::orchestrator {

/// One field, quoted when it must be: RFC 4180.
[[nodiscard]] std::string csv_field(std::string_view text);

struct CsvOptions {
  /// Also sorted_<method>.csv, the layout of GUDA's released evaluation of CIFAR-10: per image (class id,
  /// "id: name", score) triplets in descending score; 4 decimals, 6 below 1e-3, scientific below 1e-6. Its image is a
  /// file's name; ours is the query's, which is unique over query sets.
  bool sorted_layout = false;
  /// Also canvas_<method>.csv, the layout of its evaluation of UnlearnCanvas: generated_style (the true group, where it
  /// is known), object_name (the query set), attribution_style, score, image_path (the query's name).
  bool canvas_layout = false;
};

/// Writes into `directory` (made when missing), each file by rename:
///  scores_<method>.csv  query,set,group,score,stderr - main_scores(), one line per query and group, evaluated ones
///  only; comparison.csv query_set,weighting,draws,reference,queries,groups,row,method,metric,value,low,high,p_vs_best,
///                       device_seconds - `row` is method | ceiling | repeatability | chance.
/// Numbers are shortest round-trip decimals. Returns the files. Throws IoError.
std::vector<std::filesystem::path> export_csv(const std::filesystem::path& directory, const ResultsTable& table,
                                              const jobs::Plan& plan, const Comparison& comparison,
                                              const CsvOptions& options = {});

}  // namespace guda::orchestrator
