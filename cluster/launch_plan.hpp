#pragma once
// Where the ranks of one life run, how many on which node, and the mpirun command line that starts them.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cluster/topology.hpp"
#include "common/json.hpp"

namespace guda::cluster {

/// What is wanted; zeros mean "as fits".
struct LaunchRequest {
  std::uint32_t workers = 0;     ///< in all
  std::uint32_t threads = 1;     ///< compute threads per worker
  std::string device = "cpu";    ///< cpu: a worker per core / threads; cuda: a worker per GPU
  std::uint32_t per_device = 1;  ///< workers that share one GPU
  bool bind = true;              ///< workers keep to cores of their own where nobody else runs on them
  std::string mpi_arguments;     ///< appended to mpirun's, split at blanks
};

struct NodeShare {
  std::string node;
  std::uint32_t workers = 0;
  std::uint32_t cores = 1, gpus = 0;  ///< that the node has for us
};

/// One coordinator on the first node and agents on all: ranks 1.. in the order of `nodes`.
struct LaunchPlan {
  std::uint32_t workers = 1;  ///< in all
  std::uint32_t threads = 1;  ///< compute threads per worker
  Source source = Source::machine;
  std::string job;  ///< Slurm job id
  std::string device = "cpu";
  std::uint32_t per_device = 1;  ///< workers that share one GPU
  std::vector<NodeShare> nodes;
  bool coordinator_core = false;  ///< a core of the first node is left to the coordinator
  bool bind = false;              ///< workers are bound to cores of their own
  bool oversubscribed = false;    ///< more threads than cores, because somebody asked for it on this machine
  std::string hostfile, mpi_arguments;
};

/// Fits the request to the topology. A worker never shares a core or a GPU with another one, except a GPU with
/// `per_device` and cores on a single machine where a number of workers was asked for. Where there is room (more than 8
/// cores in all) the coordinator keeps a core. Throws Error with the cure when the request does not fit.
[[nodiscard]] LaunchPlan plan_launch(const Topology& topology, const LaunchRequest& request);

/// Lines for people: who runs where. Equal neighbours share a line, so that a thousand nodes stay readable.
[[nodiscard]] std::string describe(const LaunchPlan& plan);

/// Path of mpirun; throws Error with the cure when there is none.
[[nodiscard]] std::filesystem::path find_mpirun();

/// argv of mpirun. Ranks get the run directory and the life file as arguments.
[[nodiscard]] std::vector<std::string> mpirun_command(const LaunchPlan& plan,
                                                      const std::filesystem::path& program_folder,
                                                      const std::filesystem::path& run_folder,
                                                      const std::filesystem::path& life_file);

/// argv of mpirun for one copy of `program` on each node of the plan: how doctor asks every node.
[[nodiscard]] std::vector<std::string> each_node_command(const LaunchPlan& plan,
                                                         const std::vector<std::string>& program);

/// What an agent must know of the plan (part of life.json).
[[nodiscard]] Json to_json(const LaunchPlan& plan);

}  // namespace guda::cluster
