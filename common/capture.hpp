#pragma once
// Runs another program to its end and keeps what it said: scontrol, squeue, nvidia-smi, mpirun.
#include <string>
#include <vector>

namespace guda {

struct Captured {
  int exit_code = -1;  ///< -1: killed by a signal or by the time limit
  bool timed_out = false;
  std::string output;  ///< stdout and stderr as they came, at most 1 MB
};

/// Runs `arguments` (program first, looked up on PATH) with an empty standard input. A program that has not ended after
/// `seconds` is killed with its children. Throws Error when it can't be started.
[[nodiscard]] Captured capture(const std::vector<std::string>& arguments, double seconds);

/// The same, for output that must be there: first line, or Error naming program, exit code and what it said.
[[nodiscard]] std::string first_line_of(const std::vector<std::string>& arguments, double seconds);

/// Where PATH has a program; empty when it has not.
[[nodiscard]] std::string find_on_path(const std::string& program);

}  // namespace guda
