#include "worker/bench/time_budget.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/error.hpp"

namespace guda::worker {

TimeBudget::TimeBudget(double seconds, std::vector<double> weights, Now now)
    : now_(std::move(now)), end_(now_() + seconds), weights_(std::move(weights)) {}

double TimeBudget::left() const { return std::max(0.0, end_ - now_()); }

double TimeBudget::share_of_next() const {
  if (place_ >= weights_.size()) throw Bug("no measurement is left");
  const auto here = weights_.begin() + static_cast<std::ptrdiff_t>(place_);
  return left() * *here / std::accumulate(here, weights_.end(), 0.0);
}

double TimeBudget::next() {
  const double share = share_of_next();
  ++place_;
  return share;
}

Repeated summary_of(std::vector<double> times) {
  if (times.empty()) throw Bug("nothing was repeated");
  std::sort(times.begin(), times.end());
  const double median = (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2;
  return {median, median > 0 ? (times.back() - times.front()) / median : 0, static_cast<int>(times.size())};
}

Repeated repeat(double allowance, int most, const std::function<void()>& work, const TimeBudget::Now& now) {
  const double begin = now();
  work();
  std::vector<double> times;
  double last = now() - begin;
  while (times.empty() || (static_cast<int>(times.size()) < most && now() - begin + last < allowance)) {
    const double start = now();
    work();
    times.push_back(last = now() - start);
  }
  return summary_of(std::move(times));
}

}  // namespace guda::worker
