#pragma once
// Child processes of ours: started with a death signal, identified by pid and start time, never left behind.
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace guda {

struct SpawnOptions {
  std::vector<std::string> arguments;                            ///< argv, program first
  std::vector<std::pair<std::string, std::string>> environment;  ///< added to ours
  int inherit_fd = -1;                                           ///< becomes descriptor 3 of the child
  std::filesystem::path output;  ///< stdout and stderr are appended there; empty: inherited
  bool new_group = false;        ///< own process group (terminal signals do not reach it)
  bool ignore_usr2 = false;      ///< from its first instruction on; else SIGUSR2 kills it
};

/// fork + exec. The child gets SIGKILL when the calling thread's process dies. Throws Error when the program can't
/// start.
[[nodiscard]] pid_t spawn(const SpawnOptions& options);

/// Kernel start time of a process in clock ticks since boot; 0 when there is no such process.
[[nodiscard]] std::uint64_t process_start_time(pid_t pid);
/// Name of a process as the kernel keeps it, at most 15 characters; empty when there is no such process.
[[nodiscard]] std::string process_name(pid_t pid);
/// Effective user of a process; -1 when there is no such process.
[[nodiscard]] int process_user(pid_t pid);
/// State letter of a process as in ps: R, S, D, T (stopped), Z; 0 when there is none.
[[nodiscard]] char process_state(pid_t pid);
/// CPU time that all its threads have used, in clock ticks; 0 when there is no such process.
[[nodiscard]] std::uint64_t process_cpu_ticks(pid_t pid);
/// This process gets SIGKILL when its parent dies, even while it is stopped.
void die_with_parent();
[[nodiscard]] std::string boot_id();
[[nodiscard]] std::string host_name();
[[nodiscard]] std::filesystem::path executable_folder();

/// "exited with 3", "killed by signal 9 (Killed)".
[[nodiscard]] std::string describe_wait_status(int status);

/// All living descendants of a process, children first.
[[nodiscard]] std::vector<pid_t> descendants(pid_t pid);

}  // namespace guda
