#pragma once
// What a run may use: nodes with their cores and GPUs, of this machine, of the Slurm allocation we are in, or of a
// hostfile.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/gpus.hpp"

namespace guda::cluster {

/// The environment as a function, so that tests need not change it.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] Environment process_environment();

enum class Source { machine, slurm, hostfile };

struct Node {
  std::string name;
  std::uint32_t cores = 1;  ///< that this run may use
  std::uint32_t gpus = 0;
};

struct Topology {
  Source source = Source::machine;
  std::vector<Node> nodes;  ///< at least one; the first is where mpirun and the coordinator run
  std::vector<Gpu> here;    ///< GPUs of this node, where it is one of `nodes`
  std::string job;          ///< Slurm job id
  std::string hostfile;     ///< path, for mpirun
  bool own_cores = false;   ///< nobody else runs on our cores: binding to them is safe
};

/// This machine: cores of our affinity mask, visible GPUs.
[[nodiscard]] Topology this_machine();

/// True inside a Slurm allocation (batch script or salloc).
[[nodiscard]] bool in_slurm(const Environment& environment);

/// The allocation that `environment` describes. `mask_cores` is the size of our affinity mask: where it equals what
/// Slurm gave us on this node, the cores are ours. Throws Error with the cure when the variables contradict each other.
[[nodiscard]] Topology slurm_allocation(const Environment& environment, std::uint32_t mask_cores);

/// Lines "name [slots=N] [cores=N] [gpus=N]", # comments; slots is Open MPI's word for cores. Throws Error with file
/// and line.
[[nodiscard]] Topology read_hostfile(const std::filesystem::path& file);

/// What this process should use: the hostfile if given, else the allocation we are in, else this machine.
[[nodiscard]] Topology discover(const std::string& hostfile = "");

}  // namespace guda::cluster
