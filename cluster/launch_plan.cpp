#include "cluster/launch_plan.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "common/cpu.hpp"
#include "common/error.hpp"

namespace guda::cluster {

LaunchPlan plan_local(std::uint32_t workers_wanted, std::uint32_t threads) {
  const std::uint32_t room = std::max(1U, usable_cores() / std::max(1U, threads));
  return {workers_wanted == 0 ? room : workers_wanted, threads};
}

std::filesystem::path find_mpirun() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto program = std::filesystem::path(folder) / "mpirun";
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  throw Error("mpirun is not on PATH. Cure: install Open MPI (Debian: openmpi-bin) or load its module.");
}

std::vector<std::string> mpirun_command(const LaunchPlan& plan, const std::filesystem::path& program_folder,
                                        const std::filesystem::path& run_folder, const std::filesystem::path& life_file) {
  // --enable-recovery: the loss of one rank does not end the others (docs/architecture.md, "MPI rules").
  std::vector<std::string> command{find_mpirun().string(), "--enable-recovery", "--oversubscribe", "--bind-to", "none",
                                   // Single-copy needs ptrace rights that containers withhold; messages are tiny anyway.
                                   "--mca", "btl_vader_single_copy_mechanism", "none",
                                   // Idle ranks must yield: workers own the cores.
                                   "--mca", "mpi_yield_when_idle", "1",
                                   // One machine: no remote launch agent is looked for, loopback suffices.
                                   "--mca", "plm", "isolated", "--mca", "btl", "self,vader"};
  const auto ranks = [&](std::uint32_t count, const char* program) {
    command.insert(command.end(), {"-np", std::to_string(count), (program_folder / program).string(), run_folder.string(), life_file.string()});
  };
  ranks(1, "guda-coordinator");
  command.emplace_back(":");
  ranks(plan.workers, "guda-agent");
  return command;
}

}  // namespace guda::cluster
