#pragma once
// results.h5 as a view of journal and row segments: made anew from them, brought up to date, compared with them.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/row_segment.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/results_file.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// A record must have the shape that the plan gives its job; anything else would land on other queries. Throws IoError.
void check_shape(const jobs::Plan& plan, const jobs::JobSpec& job, const RowRecord& record);

/// The one writer of results.h5. One thread.
class ResultsView {
 public:
  /// Publishes results.h5 anew by rename and fills it from the rows of `commits`. Rows that can't be read are looked
  /// for again for `patience` seconds (network file systems); then their blocks stay pending and their jobs are named
  /// in `unreadable`. `chaos`: faults that were injected on purpose, an attribute of the file. Throws IoError when the
  /// file can't be written.
  ResultsView(const RunLayout& run, const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
              const std::string& chaos, double patience, std::vector<Digest>& unreadable);

  /// Writes the rows of one job, then marks the blocks that are complete with it.
  void place(const jobs::JobSpec& job, const RowRecord& record);
  void flush() { file_.flush(); }

 private:
  const jobs::Plan& plan_;
  ResultsFile file_;
  std::map<std::string, std::uint32_t> open_rows_;  // "<method>/<group>/<block>" -> jobs still to come
};

/// Makes results.h5 anew and closes it; the jobs whose rows can't be read.
[[nodiscard]] std::vector<Digest> rebuild_results(const RunLayout& run, const jobs::Plan& plan,
                                                  const std::map<Digest, Commit>& commits,
                                                  const std::string& chaos = "");

/// How results.h5 differs from what plan, journal and rows say, one line each; at most `most`. `live`: a writer is at
/// work, so that rows of the latest commits may not be there yet.
[[nodiscard]] std::vector<std::string> compare_view(const RunLayout& run, const jobs::Plan& plan,
                                                    const std::map<Digest, Commit>& commits, bool live,
                                                    std::size_t most = 20);

}  // namespace guda::orchestrator
