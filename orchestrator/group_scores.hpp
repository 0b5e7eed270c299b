#pragma once
// Scores of groups from the stored losses: score[q, k] = sum over slots of weight * (loss_-k - loss_full), larger =
// more influence. Every weighting is a sum over the same stored cube. Pure; any thread.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "jobs/weighting.hpp"
#include "orchestrator/results_file.hpp"

namespace guda::orchestrator {

/// A [query, group] table over the whole query axis; NaN where not evaluated.
struct GroupScores {
  std::size_t queries = 0, groups = 0;
  std::vector<double> score;
  /// Standard error over noise draws (not over trainings). NaN where unknown: methods that leave scores only.
  std::vector<double> error;
  /// The errors come from neighbouring timesteps, because there is one draw per timestep: see group_scores().
  bool collapsed = false;

  [[nodiscard]] const double* row(std::size_t query) const { return score.data() + query * groups; }
  /// True when every group has a score for the query.
  [[nodiscard]] bool evaluated(std::size_t query) const;
};

/// Whether the method is the reference or the second reference (scored on both draw sets).
[[nodiscard]] bool is_reference(const jobs::Experiment& experiment, const std::string& method);

/// Scores of one method on one draw set. Methods that leave scores give their rows, whatever weighting and draw set
/// are. Throws Error when the table has no such method or no slot is left by the weighting.
///
/// Standard errors, with u[t, j] = weight * (loss_-k - loss_full) of draw j of timestep t:
///  - J >= 2 draws per timestep: sum over t of J * s_t^2, s_t^2 the sample variance of u[t, .]; unbiased.
///  - one draw: collapsed strata (Cochran, Sampling Techniques, section 5A.12). Neighbouring timesteps are paired, the
///  last
///    three form a triple when their number is odd; a group of L adds L/(L-1) * sum (u - mean u)^2. Never too small on
///    average: its bias is the squared difference of the neighbours' expectations. One slot alone has no error (NaN).
///  - drawn slots (allocation weight, adaptive): the first formula with strata for timesteps and units for draws.
/// An antithetic pair is one draw: u is the sum of both.
///
/// After a race (scoring.until) groups have different numbers of units: see common/raced_sums.hpp. When to stop was
/// decided by the same units; what that does to the mean is in docs/methods.md.
[[nodiscard]] GroupScores group_scores(const ResultsTable& table, const jobs::Plan& plan, const std::string& method,
                                       const jobs::WeightingConfig& weighting, std::uint32_t draw_set);

/// Per query the weighted loss of one more model (its rows [query, slot] in the table, such as a subset model's) minus
/// that of the full model on a draw set; NaN where not evaluated. Throws Error as above.
[[nodiscard]] std::vector<double> loss_gains(const ResultsTable& table, const jobs::Plan& plan, const std::string& rows,
                                             const jobs::WeightingConfig& weighting, std::uint32_t draw_set);

/// The scores that people read: elbo weights over all timesteps, references on the oracle's draws, methods on theirs.
[[nodiscard]] GroupScores main_scores(const ResultsTable& table, const jobs::Plan& plan, const std::string& method);

/// Element-wise mean of two tables of the same shape; errors combine as independent ones.
[[nodiscard]] GroupScores mean_of(const GroupScores& a, const GroupScores& b);

/// Fills score__ and score_stderr__ of every method that leaves losses from main_scores of what is in the file.
void write_main_scores(ResultsFile& file, const ResultsTable& table, const jobs::Plan& plan);

}  // namespace guda::orchestrator
