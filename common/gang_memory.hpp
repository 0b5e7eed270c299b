#pragma once
// Names of the POSIX shared memory in which the members of a gang meet, and its removal. A name is that of one attempt
// of one job in one life of one run, so nothing is ever met there but the other members; a gang that is complete
// removes it at once (the memory lives on without a name), so only an attempt that ends before leaves one behind.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace guda {

struct Lease;

/// "guda-<digest of the run directory's path>-<epoch>-<job>-<attempt>": a file of that name in /dev/shm.
[[nodiscard]] std::string gang_memory_name(const std::filesystem::path& run_folder, std::uint32_t epoch,
                                           const Lease& lease);
/// Whether it may be such a name: nothing else is ever opened or removed on another process's word.
[[nodiscard]] bool is_gang_memory_name(std::string_view name);

/// Removes the name; nothing when it is gone already.
void remove_gang_memory(const std::string& name) noexcept;
/// Removes what killed members of this run left on this node; of life `but_not` nothing.
void remove_gang_memory_of(const std::filesystem::path& run_folder, std::uint32_t but_not) noexcept;

}  // namespace guda
