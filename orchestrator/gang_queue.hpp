#pragma once
// What the scheduler keeps of gangs: jobs that several workers of one node do together, from the same moment on.
// A gang that does not find enough idle workers on one node *gathers* them: the workers of one node get nothing new
// until enough of them have come free. One gang gathers at a time, so two never hold what the other needs.
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "orchestrator/ready_queue.hpp"

namespace guda::orchestrator {

/// Who does a job together.
struct Gang {
  std::vector<WorkerId> members;  ///< in rank order; the first one is the root, which has the result
  std::vector<WorkerId> here;     ///< of these: still at it
  bool breaking_up = false;       ///< one has handed the job back, the others were told to do so
  [[nodiscard]] bool has(WorkerId worker) const;
};

/// A node whose workers are kept for a gang.
struct Gathering {
  std::size_t job = 0;
  std::string node;
  bool with_held_back = false;  ///< devices that are held back (DeviceBlame) take part: there are not enough others
};

/// Ready gang jobs: those that have failed before all others, then longest predicted chain first.
class GangQueue {
 public:
  /// `place` as in ReadyQueue; `again`: it has failed before.
  void insert(std::size_t job, std::size_t place, bool again);
  void erase(std::size_t job);
  /// The places are others.
  void order(const ReadyQueue& queue);

  [[nodiscard]] bool empty() const { return order_.empty(); }
  [[nodiscard]] bool contains(std::size_t job) const { return keys_.contains(job); }
  /// Whether the job has failed before.
  [[nodiscard]] bool again(std::size_t job) const { return !std::get<0>(keys_.at(job)); }
  /// Not of an empty queue.
  [[nodiscard]] std::size_t first() const { return std::get<2>(*order_.begin()); }
  using Key = std::tuple<bool, std::size_t, std::size_t>;  ///< (never failed, place, job)
  [[nodiscard]] const std::set<Key>& in_order() const { return order_; }

 private:
  std::set<Key> order_;
  std::map<std::size_t, Key> keys_;
};

/// Idle workers by node.
class IdleNodes {
 public:
  void set(const std::string& node, WorkerId worker, bool idle);
  [[nodiscard]] bool contains(const std::string& node, WorkerId worker) const;
  /// Those of the node that has most of them.
  [[nodiscard]] const std::set<WorkerId>& most() const;

 private:
  std::map<std::string, std::set<WorkerId>> nodes_;
  std::set<std::pair<std::size_t, std::string>> by_size_;
};

}  // namespace guda::orchestrator
