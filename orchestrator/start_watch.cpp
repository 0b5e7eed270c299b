#include "orchestrator/start_watch.hpp"

#include "common/process.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::size_t kNameLength = 15;  // of /proc/PID/comm

bool named(const std::string& comm, const std::string& program) { return comm == program.substr(0, kNameLength); }

}  // namespace

void StartWatch::look(pid_t supervisor) {
  for (const auto& [pid, start] : ranks_) {
    if (process_start_time(pid) != start || process_state(pid) == 'Z') {
      death_ = pid == coordinator_ ? "the coordinator died" : "an agent died while the ranks waited for each other";
    }
  }
  stopped_ = false;
  for (const pid_t pid : descendants(supervisor)) {
    const std::string name = process_name(pid);
    const bool coordinator = named(name, "guda-coordinator");
    if (!coordinator && !named(name, "guda-agent")) continue;
    ranks_.emplace(pid, process_start_time(pid));
    if (coordinator) coordinator_ = pid;
    stopped_ = stopped_ || process_state(pid) == 'T';
  }
}

}  // namespace guda::orchestrator
