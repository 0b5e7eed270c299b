#pragma once
// What a job will really take: the plan's prediction times a ratio per job kind that finished jobs teach. Pure.
#include <cstddef>
#include <span>
#include <vector>

namespace guda::orchestrator {

/// Quantiles of a duration (s) or of a ratio.
struct CostRange {
  double p10 = 0, p50 = 0, p90 = 0;
};

/// Work that is left of one job kind.
struct WorkLeft {
  double predicted = 0;  ///< device-seconds as planned
  std::size_t jobs = 0;
};

class CostModel {
 public:
  /// One finished job. Ignores what can't be learned from (predictions or measurements that aren't positive).
  void observe(std::size_t kind, double predicted, double measured);

  /// measured / predicted of the next job of this kind. A kind without a measurement borrows the pooled ratio of the
  /// others (a fast machine is fast for all), without any the plan's word is taken; the range then is wide.
  [[nodiscard]] CostRange ratio(std::size_t kind) const;
  /// Seconds that a job of this kind and prediction will take.
  [[nodiscard]] CostRange estimate(std::size_t kind, double predicted) const;
  /// Device-seconds of all that is left, indexed by kind. Errors of single jobs cancel, those of the ratios don't.
  [[nodiscard]] CostRange total(std::span<const WorkLeft> left) const;
  /// Finished jobs seen.
  [[nodiscard]] std::size_t observations() const { return pool_.count; }

 private:
  struct Fit {
    std::size_t count = 0;
    double predicted = 0, measured = 0;
    double mean_log = 0, squares = 0;  // of ln(measured / predicted), by Welford
    void add(double predicted_seconds, double measured_seconds);
    [[nodiscard]] double spread() const;
  };
  [[nodiscard]] const Fit* fit_of(std::size_t kind) const;

  std::vector<Fit> kinds_;
  Fit pool_;
};

}  // namespace guda::orchestrator
