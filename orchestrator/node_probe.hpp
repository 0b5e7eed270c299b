#pragma once
// What doctor wants to know of every node of an allocation: one process of guda per node answers with one line of JSON.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::orchestrator {

struct NodeAnswer {
  std::string host, isa;
  std::uint32_t cores = 0;
  double time = 0;           ///< Unix, when asked
  double free_memory = 0;    ///< bytes that processes may still take here (cgroup limit included)
  bool sees_folder = false;  ///< the token in the run folder is ours
  std::string locks;         ///< "works", or why flock does not
  std::string worker;        ///< first line of guda-worker --version, or what went wrong
  bool worker_ok = false;
  std::vector<std::string> gpus;  ///< "NVIDIA A100-SXM4-80GB 80 GB, driver 550.54"
  std::string gpu_error;
  std::string nccl;                     ///< "2.21.5" | "" when it can't be loaded here
  std::string node_cache;               ///< where a run in the folder would keep common copies of its artifacts
  std::vector<std::string> gpu_errors;  ///< GPUs with uncorrected memory errors, one sentence each
};

/// Answers for this node. `folder` holds the token file that the asking process wrote.
[[nodiscard]] NodeAnswer probe_node(const std::filesystem::path& folder, const std::string& token);

[[nodiscard]] std::string encode_answer(const NodeAnswer& answer);
/// All answers among the lines of mpirun's output; other lines are ignored.
[[nodiscard]] std::vector<NodeAnswer> decode_answers(const std::string& output);

/// Name of the token file in the folder.
[[nodiscard]] std::string token_file();

/// Judgements over all nodes; each is a sentence, empty vectors are good news.
struct NodeVerdict {
  std::vector<std::string> bad;    ///< a run would not start, or would be wrong
  std::vector<std::string> notes;  ///< it would, but somebody should know
};
/// `nodes` were asked between Unix times `asked` and `answered`. Pure.
[[nodiscard]] NodeVerdict judge(const std::vector<NodeAnswer>& answers, const std::vector<std::string>& nodes,
                                double asked, double answered);

}  // namespace guda::orchestrator
