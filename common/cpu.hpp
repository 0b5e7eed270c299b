#pragma once
#include <cstdint>
#include <string>

namespace guda {

/// Widest vector instruction set that LibTorch's kernels would choose here: avx512 | avx2 | baseline. Part of the
/// numerics: another instruction set may round differently.
[[nodiscard]] std::string cpu_isa();

/// Cores this process may use (its affinity mask, as set by Slurm, cgroups or taskset); at least 1.
[[nodiscard]] std::uint32_t usable_cores();

}  // namespace guda
