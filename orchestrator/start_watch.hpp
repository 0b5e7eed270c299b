#pragma once
// A life that has not told its status yet, seen from outside. In MPI_Init every rank waits for all others, for ever:
// one that died or stands still there holds up the life, and nobody is left to say so. Only ranks below this process
// can be seen; where there are none (another machine), time limits decide.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

namespace guda::orchestrator {

/// One life's ranks. For one thread.
class StartWatch {
 public:
  /// Looks at the ranks below `supervisor`, which costs one pass over /proc.
  void look(pid_t supervisor);
  /// "the coordinator died": a rank that was there is there no more; empty while all are.
  [[nodiscard]] const std::string& death() const { return death_; }
  /// A rank is stopped (SIGSTOP) at this moment.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  std::map<pid_t, std::uint64_t> ranks_;  ///< start time of each rank seen so far
  std::string death_;
  bool stopped_ = false;
  pid_t coordinator_ = 0;
};

}  // namespace guda::orchestrator
