#pragma once
// How much memory there is, and how much this process has had.
#include <cstdint>
#include <filesystem>

namespace guda {

/// Bytes that processes of this control group may still take: the machine's MemAvailable, or less where the group or
/// one above it has a limit (Slurm's --mem, containers; cgroup v2 or v1), counting file pages that the kernel gives up
/// as free. 0 where nothing says.
[[nodiscard]] double free_memory(const std::filesystem::path& proc = "/proc",
                                 const std::filesystem::path& cgroups = "/sys/fs/cgroup");

/// Largest resident set of this process so far, or since reset_peak_memory(), in bytes; 0 where the kernel doesn't say.
[[nodiscard]] std::uint64_t peak_memory();
/// Begins a new peak. Nothing where the kernel does not allow it: then the peak is that of the process.
void reset_peak_memory();

}  // namespace guda
