#pragma once
// Times in seconds as a double. Thread-safe.
#include <chrono>
#include <ctime>

namespace guda {

/// Since an arbitrary moment; never goes back. For durations and deadlines within a process and between those of a
/// node.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Since 1970 (Unix time); jumps when the clock is set. For records that people or other nodes read.
inline double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Of processor time that all threads of this process have used, in the kernel too.
inline double process_cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return double(used.tv_sec) + 1e-9 * double(used.tv_nsec);
}

}  // namespace guda
