#pragma once
// Slurm's compressed notations, expanded without asking scontrol (it is often missing inside containers).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace guda::cluster {

/// "n[01-03,7],login" -> n01 n02 n03 n7 login; several brackets in one name multiply. Throws Error naming what is
/// wrong; at most 65,536 nodes.
[[nodiscard]] std::vector<std::string> expand_node_list(std::string_view text);

/// "8(x2),4" -> 8 8 4 (SLURM_JOB_CPUS_PER_NODE). Throws Error.
[[nodiscard]] std::vector<std::uint32_t> expand_counts(std::string_view text);

/// Seconds of a Slurm time: "30" (minutes), "30:00", "12:00:00", "2-12", "2-12:30", "2-12:30:00"; throws Error.
[[nodiscard]] double slurm_seconds(std::string_view text);

/// "2-12:30:00", "12:00:00": what --time takes; whole seconds, rounded up.
[[nodiscard]] std::string slurm_time(double seconds);

}  // namespace guda::cluster
