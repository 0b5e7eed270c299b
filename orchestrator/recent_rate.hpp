#pragma once
// Commits per hour, over the last hour at most, in memory that does not grow with them.
#include <cstdint>
#include <deque>
#include <utility>

namespace guda::orchestrator {

class RecentRate {
 public:
  /// `t`: s on a clock that never goes back.
  void add(double t) {
    if (minutes_.empty() || t >= minutes_.back().first + 60) minutes_.emplace_back(t, 0);
    ++minutes_.back().second;
    while (minutes_.front().first < t - 3600) minutes_.pop_front();
  }

  /// -1 before there is one second to judge by.
  [[nodiscard]] double per_hour(double now) const {
    double began = now;
    std::uint64_t commits = 0;
    for (const auto& [from, count] : minutes_) {
      if (from < now - 3600) continue;
      if (commits == 0) began = from;
      commits += count;
    }
    return commits > 0 && now - began >= 1 ? double(commits) * 3600 / (now - began) : -1;
  }

 private:
  std::deque<std::pair<double, std::uint64_t>> minutes_;  // beginning, commits
};

}  // namespace guda::orchestrator
