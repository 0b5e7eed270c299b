#pragma once
// Did the kernel kill for memory? A worker that is killed so ends by SIGKILL like any other; only a counter tells.
#include <cstdint>
#include <filesystem>

namespace guda::cluster {

/// Processes that the kernel's out-of-memory killer has ended so far: of this process's control group and those below
/// it where that counts them (memory.events), of the group alone under cgroup v1 (memory.oom_control), else of
/// the machine (/proc/vmstat). 0 where none of them says.
[[nodiscard]] std::uint64_t oom_kills(const std::filesystem::path& proc = "/proc",
                                      const std::filesystem::path& cgroups = "/sys/fs/cgroup");

}  // namespace guda::cluster
