#pragma once
// From a run directory to what people read: the comparison, the report, who spent what.
#include <map>
#include <string>

#include "jobs/plan.hpp"
#include "orchestrator/comparison.hpp"
#include "orchestrator/evaluation.hpp"
#include "orchestrator/import_csv.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {

/// Device-seconds and jobs that only this method needs (shared work, such as the full model, belongs to none), from the
/// journal.
struct MethodCost {
  double device_seconds = 0;
  std::uint32_t jobs = 0;
};
[[nodiscard]] std::map<std::string, MethodCost> method_costs(const jobs::Plan& plan,
                                                             const std::map<Digest, Commit>& commits);

/// Owner of what only experiment.evaluation asks for.
inline constexpr const char* kEvaluationOwner = "evaluation";

/// Who a job's cost belongs to: a method when only that one needs it, kEvaluationOwner, "full" when it is shared. Of
/// all jobs but previews, by digest.
[[nodiscard]] std::map<Digest, std::string> job_owners(const jobs::Plan& plan);

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
