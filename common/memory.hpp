#pragma once
// How much memory there is, and how much this process has had.
#include <cstdint>

namespace guda {

/// Bytes that processes may still take here: what the kernel calls available, or less where our control group (Slurm's
/// --mem) has a limit. 0 where the kernel doesn't say.
[[nodiscard]] double available_memory();

/// Largest resident set of this process so far, or since reset_peak_memory(), in bytes; 0 where the kernel doesn't say.
[[nodiscard]] std::uint64_t peak_memory();
/// Begins a new peak. Nothing where the kernel does not allow it: then the peak is that of the process.
void reset_peak_memory();

}  // namespace guda
