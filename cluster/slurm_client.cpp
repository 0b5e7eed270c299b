#include "cluster/slurm_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cluster/node_list.hpp"
#include "common/capture.hpp"
#include "common/config/suggest.hpp"

namespace guda::cluster {
namespace {

constexpr double kPatience = 60;  // s; a busy slurmctld answers sbatch late

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

std::uint64_t leading_number(const std::string& text) {
  const std::string digits = text.substr(0, text.find_first_not_of("0123456789"));
  return digits.empty() || digits.size() > 12 ? 0 : std::stoull(digits);
}

std::uint32_t gpus_of(const std::string& gres) {
  std::uint32_t total = 0;
  std::istringstream in(gres);
  for (std::string part; std::getline(in, part, ',');) {
    if (!part.starts_with("gpu")) continue;
    part = part.substr(0, part.find('('));
    total += static_cast<std::uint32_t>(leading_number(part.substr(part.rfind(':') + 1)));
  }
  return total;
}

}  // namespace

std::vector<Partition> parse_sinfo(const std::string& text) {
  std::vector<Partition> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> f;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, '|');) f.push_back(trimmed(field));
    if (f.size() != 6 || f[0].empty()) continue;
    Partition p;
    p.is_default = f[0].ends_with('*');
    p.name = f[0].substr(0, f[0].size() - (p.is_default ? 1 : 0));
    if (f[1] != "infinite") {
      try {
        p.time_limit = slurm_seconds(f[1]);
      } catch (const Error&) {
        p.time_limit = 0;  // "n/a" of a partition that is down
      }
    }
    p.nodes = static_cast<std::uint32_t>(leading_number(f[2]));
    p.cores = static_cast<std::uint32_t>(leading_number(f[3]));
    p.gpus = gpus_of(f[4]);
    p.memory = leading_number(f[5]) << 20;
    const auto known = std::find_if(found.begin(), found.end(), [&](const Partition& o) { return o.name == p.name; });
    if (known == found.end()) {
      found.push_back(p);
    } else {
      known->nodes += p.nodes;
      known->cores = std::max(known->cores, p.cores);
      known->gpus = std::max(known->gpus, p.gpus);
      known->memory = std::max(known->memory, p.memory);
    }
  }
  return found;
}

std::optional<std::vector<Partition>> partitions() {
  if (find_on_path("sinfo").empty()) return std::nullopt;
  const Captured said = capture({"sinfo", "--noheader", "--format", "%P|%l|%D|%c|%G|%m"}, 20);
  if (said.exit_code != 0) return std::nullopt;
  return parse_sinfo(said.output);
}

std::vector<std::string> reasons_against(const std::vector<Partition>& all, const Wanted& wanted) {
  std::vector<std::string> names;
  for (const Partition& p : all) names.push_back(p.name);
  const auto at = std::find_if(all.begin(), all.end(), [&](const Partition& p) {
    return wanted.partition.empty() ? p.is_default : p.name == wanted.partition;
  });
  if (at == all.end()) {
    if (wanted.partition.empty()) return {};  // no default partition: sbatch will say so
    // Several may be given, separated by commas: Slurm takes the first that can run it.
    if (wanted.partition.find(',') != std::string::npos) return {};
    return {fmt::format("there is no partition '{}'{}. Cure: --partition {}", wanted.partition,
                        config::did_you_mean(wanted.partition, names), config::or_list(names))};
  }
  std::vector<std::string> reasons;
  if (wanted.nodes > at->nodes) {
    reasons.push_back(fmt::format("partition '{}' has {} nodes, not {}. Cure: --nodes {}", at->name, at->nodes,
                                  wanted.nodes, at->nodes));
  }
  if (wanted.gpus_per_node > at->gpus) {
    reasons.push_back(
        fmt::format("a node of partition '{}' has {} GPUs at most, not {}. Cure: --gpus-per-node {} and more --nodes, "
                    "or another partition",
                    at->name, at->gpus, wanted.gpus_per_node, std::max(1U, at->gpus)));
  }
  if (wanted.cores_per_node > at->cores) {
    reasons.push_back(fmt::format("a node of partition '{}' has {} cores at most, not {}. Cure: --cores-per-node {}",
                                  at->name, at->cores, wanted.cores_per_node, at->cores));
  }
  if (at->time_limit > 0 && wanted.walltime > at->time_limit) {
    reasons.push_back(
        fmt::format("partition '{}' allows {}, not {}. Cure: --time {}; the run is requeued until it is done", at->name,
                    slurm_time(at->time_limit), slurm_time(wanted.walltime), slurm_time(at->time_limit)));
  }
  if (at->memory > (1ULL << 20) && wanted.memory_per_node > double(at->memory)) {
    reasons.push_back(
        fmt::format("the workers of a node need about {:.1f} GB, a node of partition '{}' has {:.1f} GB. Cure: fewer "
                    "workers per node, or "
                    "smaller batches",
                    wanted.memory_per_node / 1e9, at->name, double(at->memory) / 1e9));
  }
  return reasons;
}

std::string cure_for(const std::string& said) {
  const auto has = [&](const char* text) { return said.find(text) != std::string::npos; };
  if (has("invalid partition") || has("Invalid partition")) return "--partition with one of: sinfo --format %P";
  if (has("nvalid account"))
    return "--account with one of: sacctmgr show associations user=$USER format=account,partition";
  if (has("Invalid qos") || has("nvalid QOS"))
    return "--qos with one of: sacctmgr show associations user=$USER format=qos";
  if (has("time limit is invalid") || has("Requested time limit"))
    return "a shorter --time: sinfo --format '%P %l' shows the limits";
  if (has("node configuration is not available") || has("More processors requested")) {
    return "fewer --gpus-per-node or --cores-per-node, or another --partition: sinfo --format '%P %D %c %G %m' shows "
           "what there is";
  }
  if (has("nvalid feature")) return "--constraint with one of: sinfo --format '%P %f'";
  if (has("nvalid generic resource") || has("nvalid Trackable RESource"))
    return "a partition with GPUs: sinfo --format '%P %G'";
  if (has("QOSMax") || has("AssocMax") || has("AssocGrp") || has("limit"))
    return "less at once: your association or QOS has a limit (sacctmgr show qos)";
  if (has("Unable to contact slurm controller") || has("Connection refused"))
    return "try again when slurmctld answers: scontrol ping";
  return "read what Slurm says; guda submit --dry-run shows the script";
}

std::string submit(const std::string& script, bool test_only) {
  if (find_on_path("sbatch").empty())
    throw Error("sbatch is not on PATH. Cure: submit from a login node of the cluster, or load its Slurm module.");
  std::vector<std::string> command{"sbatch", "--parsable"};
  if (test_only) command.emplace_back("--test-only");
  command.push_back(script);
  const Captured said = capture(command, kPatience);
  const std::string text = trimmed(said.output);
  if (said.timed_out || text.find("Socket timed out") != std::string::npos) {
    throw IoError(
        fmt::format("sbatch did not answer in time{}. The job may have been accepted all the same: look with squeue "
                    "--me before you submit "
                    "again. Cure: if it is not there, sbatch {}",
                    text.empty() ? "" : " (" + text + ")", script));
  }
  if (said.exit_code != 0) throw Error(fmt::format("sbatch refused: {}. Cure: {}", text, cure_for(text)));
  if (test_only) return text;
  // --parsable prints "id" or "id;cluster" on its last line; plugins may talk before it.
  const std::string last = text.substr(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  const std::string id = last.substr(0, last.find(';'));
  if (id.empty() || id.find_first_not_of("0123456789") != std::string::npos)
    throw Error("sbatch answered something that is no job id: " + text);
  return id;
}

void requeue(const std::string& job) {
  const std::string by_hand = "type on a login node: scontrol requeue " + job;
  if (find_on_path("scontrol").empty())
    throw Error("scontrol is not on PATH here (inside a container?). Cure: " + by_hand);
  const Captured said = capture({"scontrol", "requeue", job}, kPatience);
  if (said.exit_code != 0)
    throw Error(fmt::format("scontrol requeue {} failed{}: {}. Cure: {}", job, said.timed_out ? " (no answer)" : "",
                            trimmed(said.output), by_hand));
}

void exclude_nodes(const std::string& job, const std::vector<std::string>& nodes) {
  std::string list;
  for (const std::string& node : nodes) list += (list.empty() ? "" : ",") + node;
  const Captured said = capture({"scontrol", "update", "JobId=" + job, "ExcNodeList=" + list}, kPatience);
  if (said.exit_code != 0) throw Error(fmt::format("scontrol could not exclude {}: {}", list, trimmed(said.output)));
}

}  // namespace guda::cluster
