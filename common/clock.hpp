#pragma once
// Times in seconds as a double. Thread-safe.
#include <chrono>

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

}  // namespace guda
