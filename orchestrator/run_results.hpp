#pragma once
// From a run directory to what people read: the comparison, the report, who spent what.
#include <map>
#include <set>
#include <string>

#include "jobs/plan.hpp"
#include "orchestrator/comparison.hpp"
#include "orchestrator/evaluation.hpp"
#include "orchestrator/import_csv.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {

/// What a job cost: seconds of its device, or of all devices of its gang; on a CPU seconds of processor time per
/// thread, which other programs on the machine do not make longer (runs of older versions do not know them).
[[nodiscard]] double device_seconds(const jobs::JobSpec& job, const Commit& commit, const jobs::Numerics& numerics);

/// Device-seconds and jobs that a method is charged with, from the journal.
struct MethodCost {
  double device_seconds = 0;
  std::uint32_t jobs = 0;
};
[[nodiscard]] std::map<std::string, MethodCost> method_costs(const jobs::Plan& plan,
                                                             const std::map<Digest, Commit>& commits);

/// Whom what only experiment.evaluation asks for is charged to.
inline constexpr const char* kEvaluationOwner = "evaluation";

/// Who is charged with a job, by digest: every method that needs it (features that two methods share count for both:
/// each would have to make them alone), or kEvaluationOwner, or "full" alone for what all start from: the full model,
/// its losses, the queries. Previews are charged to nobody.
[[nodiscard]] std::map<Digest, std::set<std::string>> charged_methods(const jobs::Plan& plan);

/// Comparison of what results.h5 holds now, and of scores that were made elsewhere, by name; works on a live run too.
[[nodiscard]] Comparison compare_run(const RunLayout& run, const jobs::Plan& plan,
                                     const std::map<std::string, RecordedScores>& recorded = {});

/// Evaluation beyond the oracle from what the run holds now; works on a live run too.
[[nodiscard]] Evaluation evaluate_run(const RunLayout& run, const jobs::Plan& plan);

/// After a run: writes score__ and score_stderr__ of loss-based methods and report.html. Needs the lock.
void finalize_run(const RunLayout& run, const jobs::Plan& plan);

/// Renders report.html from what is there; works on a live or unfinished run too. Returns its path.
std::filesystem::path write_report(const RunLayout& run, const jobs::Plan& plan);

}  // namespace guda::orchestrator
