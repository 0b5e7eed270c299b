#include "cluster/topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

#include "cluster/node_list.hpp"
#include "common/cpu.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/process.hpp"

namespace guda::cluster {
namespace {

/// "gpu:a100:4(S:0-1)", "a100:4", "4" -> 4; several types add up.
std::uint32_t gpu_count(const std::string& text) {
  std::uint32_t total = 0;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    part = part.substr(0, part.find('('));
    const std::string digits = part.substr(part.rfind(':') == std::string::npos ? 0 : part.rfind(':') + 1);
    if (digits.empty() || digits.size() > 5 || digits.find_first_not_of("0123456789") != std::string::npos) return 0;
    total += static_cast<std::uint32_t>(std::stoul(digits));
  }
  return total;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
}

Topology this_machine() {
  Topology t;
  t.here = visible_gpus();
  t.nodes = {{host_name(), usable_cores(), static_cast<std::uint32_t>(t.here.size())}};
  return t;
}

bool in_slurm(const Environment& environment) {
  return environment("SLURM_JOB_ID") && environment("SLURM_JOB_NODELIST");
}

Topology slurm_allocation(const Environment& environment, std::uint32_t mask_cores) {
  Topology t;
  t.source = Source::slurm;
  t.job = environment("SLURM_JOB_ID").value_or("");
  const auto names = expand_node_list(environment("SLURM_JOB_NODELIST").value_or(""));
  const auto cores_text = environment("SLURM_JOB_CPUS_PER_NODE");
  if (!cores_text) {
    throw Error("SLURM_JOB_CPUS_PER_NODE is not set in Slurm job " + t.job +
                ". Cure: start guda from the batch script or under salloc, not under srun --export=NONE.");
  }
  const auto cores = expand_counts(*cores_text);
  if (cores.size() != names.size()) {
    throw Error(fmt::format("SLURM_JOB_CPUS_PER_NODE={} does not match the {} nodes of SLURM_JOB_NODELIST={}",
                            *cores_text, names.size(), *environment("SLURM_JOB_NODELIST")));
  }
  // SLURM_GPUS_ON_NODE speaks of this node; nodes of one request have equally many.
  std::uint32_t gpus = 0;
  if (const auto text = environment("SLURM_GPUS_ON_NODE")) gpus = gpu_count(*text);
  else if (const auto per_node = environment("SLURM_GPUS_PER_NODE")) gpus = gpu_count(*per_node);
  for (std::size_t i = 0; i < names.size(); ++i) t.nodes.push_back({names[i], std::max(1U, cores[i]), gpus});
  t.own_cores = mask_cores == t.nodes.front().cores;
  return t;
}

Topology read_hostfile(const std::filesystem::path& file) {
  Topology t;
  t.source = Source::hostfile;
  t.hostfile = std::filesystem::absolute(file).string();
  std::istringstream lines(read_file(file));
  std::set<std::string> seen;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    std::istringstream words(line);
    Node node;
    if (!(words >> node.name)) continue;
    const auto at = fmt::format("{}:{}: ", file.string(), number);
    if (node.name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") !=
            std::string::npos ||
        node.name.front() == '-') {
      throw Error(at + "'" + node.name + "' is no host name");
    }
    if (!seen.insert(node.name).second)
      throw Error(at + "host '" + node.name + "' is listed twice; write its cores as slots=N");
    for (std::string word; words >> word;) {
      const std::size_t equals = word.find('=');
      const std::string key = word.substr(0, equals),
                        value = equals == std::string::npos ? "" : word.substr(equals + 1);
      if (value.empty() || value.size() > 5 || value.find_first_not_of("0123456789") != std::string::npos) {
        throw Error(at + "'" + word + "' is not slots=N, cores=N or gpus=N");
      }
      const auto n = static_cast<std::uint32_t>(std::stoul(value));
      if (key == "slots" || key == "cores") node.cores = n;
      else if (key == "gpus") node.gpus = n;
      else if (key != "max_slots" && key != "max-slots") throw Error(at + "'" + key + "' is not slots, cores or gpus");
    }
    if (node.cores == 0) throw Error(at + "host '" + node.name + "' has no cores");
    t.nodes.push_back(std::move(node));
  }
  if (t.nodes.empty())
    throw Error(file.string() +
                " names no host. Cure: a line 'name slots=CORES gpus=N' for each node, this one first.");
  return t;
}

Topology discover(const std::string& hostfile) {
  Topology t;
  if (!hostfile.empty()) t = read_hostfile(hostfile);
  else if (const Environment environment = process_environment(); in_slurm(environment))
    t = slurm_allocation(environment, usable_cores());
  else return this_machine();
  t.here = visible_gpus();
  return t;
}

}  // namespace guda::cluster
