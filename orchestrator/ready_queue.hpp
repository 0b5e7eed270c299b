#pragma once
// Ready jobs in the order of longest predicted chain first. Jobs that have failed come before all others: until they
// succeed somewhere nobody knows whether they or their device are to blame.
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "orchestrator/bit_tree.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

class ReadyQueue {
 public:
  /// `rank[i]`: predicted seconds from the start of job i to the end of the longest chain behind it.
  void order(const std::vector<JobNode>& jobs, std::vector<double> rank);

  /// `again`: it has failed before.
  void insert(std::size_t job, bool again);
  void erase(std::size_t job);

  [[nodiscard]] bool contains(std::size_t job) const {
    return fresh_.contains(place_[job]) || again_.contains({place_[job], job});
  }
  [[nodiscard]] std::size_t size() const { return fresh_.count() + again_.size(); }
  [[nodiscard]] double rank(std::size_t job) const { return rank_[job]; }

  /// Jobs that have failed before, in order.
  [[nodiscard]] const std::set<std::pair<std::size_t, std::size_t>>& again() const { return again_; }  ///< (place, job)
  /// Jobs that have never failed: the first, and the one behind a given one.
  [[nodiscard]] std::optional<std::size_t> first() const { return at(fresh_.next(0)); }
  [[nodiscard]] std::optional<std::size_t> after(std::size_t job) const { return at(fresh_.next(place_[job] + 1)); }

  /// The job of highest rank among the costliest ones of each kind that have never failed and that `fits`, which must
  /// be true for every cheaper job of a kind when it is true for one. O(kinds * log jobs); the first call, O(jobs * log
  /// jobs).
  [[nodiscard]] std::optional<std::size_t> best_fitting(const std::vector<JobNode>& jobs,
                                                        const std::function<bool(std::size_t)>& fits);

 private:
  [[nodiscard]] std::optional<std::size_t> at(std::size_t place) const {
    if (place == BitTree::kNone) return std::nullopt;
    return by_rank_[place];
  }

  std::vector<double> rank_;
  std::vector<std::size_t> by_rank_, place_;  // job at a place, place of a job
  void order_by_cost(const std::vector<JobNode>& jobs);

  std::vector<std::size_t> by_cost_, cost_place_;  // sorted by (kind, cost); empty until somebody asks what fits
  std::vector<std::pair<std::size_t, std::size_t>> kinds_;  // ranges of by_cost_
  BitTree fresh_, fresh_by_cost_;
  std::set<std::pair<std::size_t, std::size_t>> again_;
};

}  // namespace guda::orchestrator
