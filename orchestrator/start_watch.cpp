#include "orchestrator/start_watch.hpp"

#include "common/process.hpp"

namespace guda::orchestrator {
namespace {

constexpr const char *kCoordinator = "guda-coordinato", *kAgent = "guda-agent";  // as process_name() cuts them

bool is_rank(const std::string& name) { return name == kCoordinator || name == kAgent; }

bool lives(pid_t pid, std::uint64_t start) { return process_start_time(pid) == start && process_state(pid) != 'Z'; }

}  // namespace

void StartWatch::look(pid_t supervisor) {
  // What an agent has forked bears its name until it becomes a worker.
  std::erase_if(ranks_,
                [](const auto& rank) { return lives(rank.first, rank.second) && !is_rank(process_name(rank.first)); });
  for (const auto& [pid, start] : ranks_) {
    if (!lives(pid, start))
      death_ = pid == coordinator_ ? "the coordinator died" : "an agent died while the ranks waited for each other";
  }
  stopped_ = false;
  for (const pid_t pid : descendants(supervisor)) {
    const std::string name = process_name(pid);
    if (!is_rank(name)) continue;
    ranks_.emplace(pid, process_start_time(pid));
    if (name == kCoordinator) coordinator_ = pid;
    stopped_ = stopped_ || process_state(pid) == 'T';
  }
}

}  // namespace guda::orchestrator
