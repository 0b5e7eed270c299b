#pragma once
// Asking Slurm: submit, requeue, what partitions there are. Errors carry what Slurm said and the cure. Nothing about
// jobs of a run is ever concluded from Slurm's answers: the journal is the truth.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace guda::cluster {

struct Partition {
  std::string name;
  double time_limit = 0;  ///< s; 0: none
  std::uint32_t nodes = 0;
  std::uint32_t cores = 0;   ///< of its largest node
  std::uint32_t gpus = 0;    ///< of its best equipped node
  std::uint64_t memory = 0;  ///< bytes of its largest node
  bool is_default = false;
};

/// Lines of `sinfo --noheader --format "%P|%l|%D|%c|%G|%m"`; lines of one partition are merged. Unreadable lines are
/// skipped.
[[nodiscard]] std::vector<Partition> parse_sinfo(const std::string& text);

/// Nothing where there is no sinfo or it does not answer within 20 s.
[[nodiscard]] std::optional<std::vector<Partition>> partitions();

struct Wanted {
  std::string partition;  ///< empty: the default one
  std::uint32_t nodes = 1, cores_per_node = 1, gpus_per_node = 0;
  double walltime = 0;
  double memory_per_node = 0;  ///< bytes that the workers of a node need
};
/// Every reason for which these partitions can't run it, each with its cure; empty: none was found.
[[nodiscard]] std::vector<std::string> reasons_against(const std::vector<Partition>& partitions, const Wanted& wanted);

/// sbatch of a script. Returns the job id. Throws Error with what sbatch said and the cure; after a time-out it says
/// that the job may have been accepted, for sbatch is not repeated blindly.
[[nodiscard]] std::string submit(const std::string& script, bool test_only);

/// The cure for what sbatch said.
[[nodiscard]] std::string cure_for(const std::string& said);

/// `scontrol requeue JOB`: ends the job that calls it at once. Throws Error with the command to type by hand.
void requeue(const std::string& job);

/// Adds nodes to those that a job must not get. Throws Error.
void exclude_nodes(const std::string& job, const std::vector<std::string>& nodes);

}  // namespace guda::cluster
