#pragma once
// Where the ranks of one life run and the mpirun command line that starts them.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace guda::cluster {

/// One coordinator and `workers` agents on this machine.
struct LaunchPlan {
  std::uint32_t workers = 1;
  std::uint32_t threads = 1;       ///< compute threads per worker
};

/// As many workers as the machine has room for: cores / threads, at least one.
[[nodiscard]] LaunchPlan plan_local(std::uint32_t workers_wanted, std::uint32_t threads);

/// Path of mpirun; throws Error with the cure when there is none.
[[nodiscard]] std::filesystem::path find_mpirun();

/// argv of mpirun. Ranks get the run directory and the life file as arguments.
[[nodiscard]] std::vector<std::string> mpirun_command(const LaunchPlan& plan, const std::filesystem::path& program_folder,
                                                      const std::filesystem::path& run_folder, const std::filesystem::path& life_file);

}  // namespace guda::cluster
