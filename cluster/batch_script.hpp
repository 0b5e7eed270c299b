#pragma once
// The Slurm batch script of a run, as text: what guda submit writes into the run directory. Pure.
#include <cstdint>
#include <string>
#include <vector>

namespace guda::cluster {

struct BatchRequest {
  std::string job_name;                  ///< letters, digits, '.', '_', '-'
  std::string run_folder;                ///< absolute; visible from every node
  std::string program;                   ///< absolute path of guda, as the nodes see it
  std::vector<std::string> run_options;  ///< of `guda run`, e.g. {"--workers", "8"}
  std::vector<std::string> about;        ///< comment lines: what it is, the estimate, how to resume
  std::vector<std::string> setup;        ///< shell lines before anything else runs: module load ...
  std::string container;                 ///< image of `apptainer exec`; empty: none
  std::uint32_t nodes = 1, cores_per_node = 1, gpus_per_node = 0;
  double walltime = 0;              ///< s
  std::uint32_t signal_lead = 120;  ///< s before the walltime's end at which USR2 comes
  std::string partition, account, constraint, qos, reservation, memory;
  std::vector<std::string> exclude;  ///< nodes
  std::vector<std::string> extra;    ///< more #SBATCH lines, as given
  bool requeue = true;
  std::uint32_t max_lives = 50;
  std::uint32_t barren_lives = 3;  ///< lives without progress before it is not requeued any more
};

/// Throws Error for text that cannot be written safely into a script (control characters, '%' is escaped).
[[nodiscard]] std::string batch_script(const BatchRequest& request);

/// `text` as one word of a POSIX shell.
[[nodiscard]] std::string shell_quoted(const std::string& text);

}  // namespace guda::cluster
