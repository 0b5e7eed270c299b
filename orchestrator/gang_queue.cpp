#include "orchestrator/gang_queue.hpp"

#include <algorithm>

namespace guda::orchestrator {

bool Gang::has(WorkerId worker) const { return std::find(here.begin(), here.end(), worker) != here.end(); }

void GangQueue::insert(std::size_t job, std::size_t place, bool again) {
  const Key key{!again, place, job};
  order_.insert(key);
  keys_[job] = key;
}

void GangQueue::erase(std::size_t job) {
  const auto at = keys_.find(job);
  if (at == keys_.end()) return;
  order_.erase(at->second);
  keys_.erase(at);
}

void GangQueue::order(const ReadyQueue& queue) {
  for (auto& [job, key] : keys_) {
    order_.erase(key);
    std::get<1>(key) = queue.place(job);
    order_.insert(key);
  }
}

void IdleNodes::set(const std::string& node, WorkerId worker, bool idle) {
  std::set<WorkerId>& here = nodes_[node];
  if (here.contains(worker) == idle) return;
  by_size_.erase({here.size(), node});
  if (idle) here.insert(worker);
  else here.erase(worker);
  by_size_.insert({here.size(), node});
}

bool IdleNodes::contains(const std::string& node, WorkerId worker) const {
  const auto at = nodes_.find(node);
  return at != nodes_.end() && at->second.contains(worker);
}

const std::set<WorkerId>& IdleNodes::most() const {
  static const std::set<WorkerId> none;
  return by_size_.empty() ? none : nodes_.at(by_size_.rbegin()->second);
}

}  // namespace guda::orchestrator
