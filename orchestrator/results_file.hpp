#pragma once
// results.h5: the always-readable view of a run (the journal is the truth). All shapes are fixed at creation; later
// only raw rows are written, each status byte after its rows. kill -9 at any moment leaves a file that opens
// (docs/formats.md).
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/hdf5/h5.hpp"
#include "common/json.hpp"
#include "jobs/plan.hpp"

namespace guda::orchestrator {

inline constexpr std::int64_t kResultsFormat = 1;
/// Status bytes. On disk: never renumber.
inline constexpr std::uint8_t kPending = 0, kDone = 1;

/// The `method` of scores that were made elsewhere (import_csv.hpp); no experiment can ask for it.
inline constexpr const char* kRecorded = "recorded";

/// Name under which a method's losses of its own full model are stored: "full__logo_b". The run's full model is "full".
[[nodiscard]] std::string own_full_name(const std::string& method);
/// Whether the method compares its counterfactuals with a full model of its own (a LOGO of another seed).
[[nodiscard]] bool has_own_full(const jobs::MethodConfig& method);
/// Whether the method leaves losses (logo, guda) or scores (everything else).
[[nodiscard]] bool leaves_losses(const jobs::MethodConfig& method);

/// The axes and the arrays of a results file.
struct ResultsShape {
  std::vector<std::string> groups;
  std::vector<jobs::Query> queries;
  std::vector<jobs::Slot> slots;
  std::vector<jobs::QueryBlock> blocks;
  std::vector<std::string>
      fulls;  ///< loss_<name> [query, slot]: "full", "full__<method>" where it has its own, "subset__<m>"
  std::vector<std::string> loss_methods;  ///< loss__<name> [group, query, slot]
  std::vector<std::string> methods;       ///< score__<name>, score_stderr__<name> [query, group]: all methods
  bool raced = false;                     ///< race_<decided|place|slots>__<loss method>: places are raced for

  /// Throws Error on a method name that cannot name a data set.
  [[nodiscard]] static ResultsShape of(const jobs::Plan& plan);
};

/// The one writer. One thread; one process (the run's lock sees to that).
class ResultsFile {
 public:
  /// Publishes an empty file by rename, replacing what was there. Each member of `attributes` becomes an attribute of
  /// the root: numbers and texts as such, everything else as JSON text.
  static void create(const std::filesystem::path& path, const ResultsShape& shape, const Json& attributes);
  /// Opens for writing rows; throws IoError when the file is missing or damaged (cure: create again from the journal).
  [[nodiscard]] static ResultsFile open(const std::filesystem::path& path);

  /// Squared errors [rows, columns] of queries [first_query, +rows) on slots [first_slot, +columns), float32, summed
  /// over pixels. `name`: a method, or "full" / own_full_name(method), where `group` is not used.
  void write_losses(const std::string& name, std::uint32_t group, std::uint32_t first_query, std::uint32_t first_slot,
                    std::uint32_t rows, std::uint32_t columns, std::span<const float> losses);
  /// Scores [rows, columns = groups] of queries [first_query, +rows). `errors` may be empty: not known.
  void write_scores(const std::string& method, std::uint32_t first_query, std::uint32_t rows, std::uint32_t columns,
                    std::span<const double> scores, std::span<const double> errors);
  /// What the races of a method have decided: [query], and twice [query, group] (race_outcome.hpp).
  void write_race(const std::string& method, std::span<const std::uint8_t> decided,
                  std::span<const std::int32_t> places, std::span<const std::int32_t> slots);
  /// Flushes the rows, then says that block `block` of `name` is complete (for every slot that the plan gives it).
  void mark_done(const std::string& name, std::uint32_t group, std::uint32_t block);
  /// The same for every group: methods that leave scores.
  void mark_all_groups_done(const std::string& method, std::uint32_t block);
  void flush();

 private:
  explicit ResultsFile(hdf5::File file) : file_(std::move(file)) {}
  hdf5::Dataset& dataset(const std::string& name);

  hdf5::File file_;
  std::map<std::string, hdf5::Dataset> open_;
};

/// Everything in a results file as plain values. Rows of pending blocks are NaN, whatever a dying writer left there.
struct ResultsTable {
  ResultsShape shape;
  std::map<std::string, std::vector<float>>
      losses;  ///< by name: [query, slot] of fulls, [group, query, slot] of methods
  std::map<std::string, std::vector<double>> scores;        ///< by method: [query, group]
  std::map<std::string, std::vector<double>> score_errors;  ///< by method: [query, group]
  std::map<std::string, std::vector<std::uint8_t>> status;  ///< by name: [block] of fulls, [group, block] of methods
  Json attributes = Json::object();                         ///< the text attributes; JSON texts are parsed

  [[nodiscard]] std::size_t groups() const { return shape.groups.size(); }
  [[nodiscard]] std::size_t queries() const { return shape.queries.size(); }
  [[nodiscard]] std::size_t slots() const { return shape.slots.size(); }
};

/// Reads while a writer may be at work; throws IoError when the file is missing, damaged or no results file.
[[nodiscard]] ResultsTable read_results(const std::filesystem::path& path);

}  // namespace guda::orchestrator
