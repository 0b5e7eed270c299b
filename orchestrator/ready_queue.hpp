#pragma once
// Ready jobs in the order of longest predicted chain first. Jobs that have failed come before all others: until they
// succeed somewhere nobody knows whether they or their device are to blame.
#include <cstddef>
#include <cstdint>
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
  void order(const HugeVector<JobNode>& jobs, const std::vector<double>& rank);

  /// `again`: it has failed before.
  void insert(std::size_t job, bool again);
  void erase(std::size_t job);

  [[nodiscard]] bool contains(std::size_t job) const {
    return fresh_.contains(place_[job]) || again_.contains({place_[job], job});
  }
  [[nodiscard]] std::size_t size() const { return fresh_.count() + again_.size(); }

  /// Jobs that have failed before, in order.
  [[nodiscard]] const std::set<std::pair<std::size_t, std::size_t>>& again() const { return again_; }  ///< (place, job)
  /// Jobs that have never failed: the first.
  [[nodiscard]] std::optional<std::size_t> first() const { return at(fresh_.next(0)); }

  /// Jobs that have never failed by their places, which lie side by side in memory: the place of one, the next place
  /// that holds one (BitTree::kNone: none), the job at a place, its rank and its inputs.
  [[nodiscard]] std::size_t place(std::size_t job) const { return place_[job]; }
  [[nodiscard]] std::size_t next_place(std::size_t place) const { return fresh_.next(place + 1); }
  [[nodiscard]] std::size_t job_at(std::size_t place) const { return by_rank_[place]; }
  [[nodiscard]] double rank_at(std::size_t place) const { return ranks_[place]; }
  [[nodiscard]] std::span<const JobIndex> inputs_at(std::size_t place) const {
    return std::span(inputs_).subspan(inputs_begin_[place], inputs_begin_[place + 1] - inputs_begin_[place]);
  }

  /// The job so many places behind, ready or not.
  [[nodiscard]] std::optional<std::size_t> behind(std::size_t job, std::size_t places) const {
    const std::size_t place = place_[job] + places;
    return place < by_rank_.size() ? std::optional(by_rank_[place]) : std::nullopt;
  }
  /// Asks for what `insert` and `erase` will read of this job.
  void prefetch(std::size_t job) const { __builtin_prefetch(&place_[job]); }

  /// The job of highest rank among the costliest ones of each kind that have never failed and that `fits`, which must
  /// be true for every cheaper job of a kind when it is true for one. O(kinds * log jobs); the first call, O(jobs * log
  /// jobs).
  [[nodiscard]] std::optional<std::size_t> best_fitting(const HugeVector<JobNode>& jobs,
                                                        const std::function<bool(std::size_t)>& fits);

 private:
  [[nodiscard]] std::optional<std::size_t> at(std::size_t place) const {
    if (place == BitTree::kNone) return std::nullopt;
    return by_rank_[place];
  }

  HugeVector<std::uint32_t> by_rank_, place_;  // job at a place, place of a job
  HugeVector<double> ranks_;                   // by place
  HugeVector<JobIndex> inputs_;  // of the job at place i: inputs_[inputs_begin_[i] .. inputs_begin_[i + 1]]
  HugeVector<std::uint32_t> inputs_begin_;
  void order_by_cost(const HugeVector<JobNode>& jobs);

  HugeVector<std::uint32_t> by_cost_, cost_place_;  // sorted by (kind, cost); empty until somebody asks what fits
  std::vector<std::pair<std::size_t, std::size_t>> kinds_;  // ranges of by_cost_
  BitTree fresh_, fresh_by_cost_;
  std::set<std::pair<std::size_t, std::size_t>> again_;
};

}  // namespace guda::orchestrator
