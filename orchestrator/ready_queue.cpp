#include "orchestrator/ready_queue.hpp"

#include <algorithm>
#include <utility>

namespace guda::orchestrator {

void ReadyQueue::order(const HugeVector<JobNode>& jobs, const std::vector<double>& rank) {
  std::vector<std::pair<std::size_t, bool>> members;
  for (std::size_t place = fresh_.next(0); place != BitTree::kNone; place = fresh_.next(place + 1))
    members.emplace_back(by_rank_[place], false);
  for (const auto& [place, job] : again_) members.emplace_back(job, true);
  again_.clear();

  const std::size_t n = jobs.size();
  std::vector<std::pair<double, std::uint32_t>> order(n);  // side by side: a million ranks are in no cache
  for (std::size_t i = 0; i < n; ++i) order[i] = {-rank[i], static_cast<std::uint32_t>(i)};
  std::sort(order.begin(), order.end());
  by_rank_.resize(n);
  place_.resize(n);
  ranks_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    by_rank_[i] = order[i].second;
    place_[by_rank_[i]] = static_cast<std::uint32_t>(i);
    ranks_[i] = -order[i].first;
  }
  inputs_.clear();
  inputs_begin_.assign(1, 0);
  inputs_begin_.reserve(n + 1);
  for (const std::uint32_t job : by_rank_) {
    inputs_.insert(inputs_.end(), jobs[job].inputs.begin(), jobs[job].inputs.end());
    inputs_begin_.push_back(static_cast<std::uint32_t>(inputs_.size()));
  }
  fresh_ = BitTree(n);
  by_cost_.clear();
  for (const auto& [job, again] : members) insert(job, again);
}

void ReadyQueue::order_by_cost(const HugeVector<JobNode>& jobs) {
  by_cost_ = by_rank_;
  std::stable_sort(by_cost_.begin(), by_cost_.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(jobs[a].kind, jobs[a].cost) < std::pair(jobs[b].kind, jobs[b].cost);
  });
  cost_place_.resize(jobs.size());
  kinds_.clear();
  fresh_by_cost_ = BitTree(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const std::size_t job = by_cost_[i];
    cost_place_[job] = static_cast<std::uint32_t>(i);
    if (fresh_.contains(place_[job])) fresh_by_cost_.insert(i);
    if (i == 0 || jobs[job].kind != jobs[by_cost_[i - 1]].kind) kinds_.emplace_back(i, i);
    kinds_.back().second = i + 1;
  }
}

void ReadyQueue::insert(std::size_t job, bool again) {
  if (again) {
    again_.insert({place_[job], job});
    return;
  }
  fresh_.insert(place_[job]);
  if (!by_cost_.empty()) fresh_by_cost_.insert(cost_place_[job]);
}

void ReadyQueue::erase(std::size_t job) {
  if (!again_.empty()) again_.erase({place_[job], job});
  fresh_.erase(place_[job]);
  if (!by_cost_.empty()) fresh_by_cost_.erase(cost_place_[job]);
}

std::optional<std::size_t> ReadyQueue::best_fitting(const HugeVector<JobNode>& jobs,
                                                    const std::function<bool(std::size_t)>& fits) {
  if (by_cost_.empty()) order_by_cost(jobs);
  std::optional<std::size_t> best;
  for (const auto& [begin, end] : kinds_) {
    const auto first = by_cost_.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto bound = std::partition_point(first, by_cost_.begin() + static_cast<std::ptrdiff_t>(end), fits);
    if (bound == first) continue;
    const std::size_t place = fresh_by_cost_.previous(static_cast<std::size_t>(bound - by_cost_.begin()) - 1);
    if (place == BitTree::kNone || place < begin) continue;
    const std::size_t job = by_cost_[place];
    if (!best || ranks_[place_[job]] > ranks_[place_[*best]]) best = job;
  }
  return best;
}

}  // namespace guda::orchestrator
