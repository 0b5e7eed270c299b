#pragma once
// Seconds shared among measurements that come one after another.
#include <functional>
#include <vector>

namespace guda::worker {

/// What one does not use is left to those behind it.
class TimeBudget {
 public:
  using Now = std::function<double()>;
  /// `weights` of all measurements, in order.
  TimeBudget(double seconds, std::vector<double> weights, Now now);
  /// Seconds that the next measurement may take; 0 when the time is up. Bug when there are no more.
  [[nodiscard]] double next();
  /// The same, asked beforehand.
  [[nodiscard]] double share_of_next() const;
  [[nodiscard]] double left() const;

 private:
  const Now now_;
  const double end_;
  std::vector<double> weights_;
  std::size_t place_ = 0;
};

/// What repeating a piece of work showed.
struct Repeated {
  double median = 0;  ///< s
  double spread = 0;  ///< (slowest - fastest) / median
  int times = 0;
};

/// Of the seconds of each time; at least one.
[[nodiscard]] Repeated summary_of(std::vector<double> times);

/// Does `work` once for warm-up, then again while another time fits into `allowance` seconds (the warm-up counts), at
/// least once and at most `most` times.
[[nodiscard]] Repeated repeat(double allowance, int most, const std::function<void()>& work,
                              const TimeBudget::Now& now);

}  // namespace guda::worker
