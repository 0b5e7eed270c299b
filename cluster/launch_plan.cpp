#include "cluster/launch_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <sstream>
#include <string_view>

#include "common/capture.hpp"
#include "common/error.hpp"

extern char** environ;

namespace guda::cluster {
namespace {

constexpr std::uint32_t kSmallPool =
    8;  // cores; below, a core for the coordinator (< 2 % busy) would cost more than it gives
constexpr std::uint32_t kMostWorkers = 65'535;

/// Workers that fit on a node without sharing a core or GPU.
std::uint32_t room_on(const Node& node, const LaunchRequest& request, bool coordinator) {
  const std::uint32_t cores = node.cores - (coordinator ? 1 : 0);
  const std::uint32_t by_cores = cores / request.threads;
  return request.device == "cuda" ? std::min(node.gpus * request.per_device, by_cores) : by_cores;
}

std::string capacity_text(const Topology& t, const LaunchRequest& request, std::uint32_t room) {
  std::uint32_t cores = 0, gpus = 0;
  for (const Node& n : t.nodes) cores += n.cores, gpus += n.gpus;
  return fmt::format("{} node{} with {} core{} and {} GPU{} in all have room for {} worker{} of {} thread{}",
                     t.nodes.size(), t.nodes.size() == 1 ? "" : "s", cores, cores == 1 ? "" : "s", gpus,
                     gpus == 1 ? "" : "s", room, room == 1 ? "" : "s", request.threads,
                     request.threads == 1 ? "" : "s");
}

/// "n1:3,n2:4": Open MPI's host list; the first node has one slot more, for the coordinator.
std::string host_list(const LaunchPlan& plan, bool one_each) {
  std::string text;
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const std::uint32_t slots = one_each ? 1 : plan.nodes[i].workers + (i == 0 ? 1 : 0);
    if (slots > 0) text += fmt::format("{}{}:{}", text.empty() ? "" : ",", plan.nodes[i].node, slots);
  }
  return text;
}

std::vector<std::string> common_arguments(const LaunchPlan& plan) {
  // --enable-recovery: the loss of one rank does not end the others (docs/architecture.md, "MPI rules").
  std::vector<std::string> command{
      find_mpirun().string(), "--enable-recovery", "--oversubscribe", "--bind-to", "none",
      // Single-copy needs ptrace rights that containers withhold; messages are tiny anyway.
      "--mca", "btl_vader_single_copy_mechanism", "none",
      // Idle ranks must yield: workers own the cores.
      "--mca", "mpi_yield_when_idle", "1"};
  if (plan.nodes.size() <= 1 && plan.source != Source::hostfile) {
    // One machine: no remote launch agent is looked for, loopback suffices.
    command.insert(command.end(), {"--mca", "plm", "isolated", "--mca", "btl", "self,vader"});
  } else {
    // Messages of a few hundred bytes need no fast fabric, and only ob1 over TCP is known to outlive dead peers.
    command.insert(command.end(), {"--map-by", "slot", "--mca", "pml", "ob1", "--mca", "btl", "self,vader,tcp"});
    if (plan.source == Source::hostfile) command.insert(command.end(), {"--mca", "plm", "rsh"});
    for (char** e = environ; *e != nullptr; ++e) {
      const std::string_view entry(*e);
      const std::string name(entry.substr(0, entry.find('=')));
      if (name.starts_with("GUDA_") || name == "HDF5_USE_FILE_LOCKING") command.insert(command.end(), {"-x", name});
    }
  }
  std::istringstream words(plan.mpi_arguments);
  for (std::string word; words >> word;) command.push_back(word);
  return command;
}

}  // namespace

LaunchPlan plan_launch(const Topology& topology, const LaunchRequest& request) {
  if (request.threads == 0) throw Error("resources.threads must be at least 1");
  LaunchPlan plan;
  plan.threads = request.threads;
  plan.device = request.device;
  plan.per_device = request.per_device;
  plan.source = topology.source;
  plan.job = topology.job;
  plan.hostfile = topology.hostfile;
  plan.mpi_arguments = request.mpi_arguments;
  const std::uint32_t all_cores = std::accumulate(topology.nodes.begin(), topology.nodes.end(), 0U,
                                                  [](std::uint32_t n, const Node& node) { return n + node.cores; });
  // With GPUs there are cores to spare: the coordinator only ever waits for one where every core belongs to a worker.
  plan.coordinator_core = all_cores > kSmallPool && topology.nodes.front().cores > request.threads;
  std::uint32_t room = 0;
  for (std::size_t i = 0; i < topology.nodes.size(); ++i) {
    const Node& node = topology.nodes[i];
    plan.nodes.push_back({node.name, 0, node.cores, node.gpus});
    room += room_on(node, request, i == 0 && plan.coordinator_core);
  }
  if (request.workers > kMostWorkers) throw Error(fmt::format("at most {} workers", kMostWorkers));
  const bool single = topology.nodes.size() == 1 && topology.source == Source::machine;
  if (request.device == "cuda" && room == 0) {
    throw Error("no GPU for a worker: " + capacity_text(topology, request, room) +
                ". Cure: resources.device: cpu, or ask for GPUs (guda submit --gpus-per-node N); guda doctor shows "
                "what is visible.");
  }
  const std::uint32_t wanted = request.workers == 0 ? std::max(1U, room) : request.workers;
  if (wanted > room && !(single && request.device == "cpu")) {
    throw Error(fmt::format(
        "{} workers do not fit: {}. Cure: fewer --workers (0 takes what fits), fewer resources.threads, or more nodes.",
        wanted, capacity_text(topology, request, room)));
  }
  plan.workers = wanted;
  if (single) {
    plan.nodes.front().workers = wanted;
    plan.oversubscribed = wanted * request.threads > topology.nodes.front().cores;
  } else {
    // Round by round over the nodes: memory bandwidth and caches are shared by as few as possible.
    for (std::uint32_t left = wanted; left > 0;) {
      for (std::size_t i = 0; i < plan.nodes.size() && left > 0; ++i) {
        if (plan.nodes[i].workers < room_on(topology.nodes[i], request, i == 0 && plan.coordinator_core))
          ++plan.nodes[i].workers, --left;
      }
    }
  }
  plan.bind = request.bind && topology.own_cores && !plan.oversubscribed;
  return plan;
}

std::string describe(const LaunchPlan& plan) {
  const auto plural = [](std::uint64_t n, const char* word) {
    return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
  };
  const std::string where = plan.source == Source::slurm      ? "Slurm job " + plan.job
                            : plan.source == Source::hostfile ? "hosts of " + plan.hostfile
                                                              : std::string("this machine");
  std::string text = fmt::format("launch: {}, {}, {} of {} ({}{})", where, plural(plan.nodes.size(), "node"),
                                 plural(plan.workers, "worker"), plural(plan.threads, "thread"), plan.device,
                                 plan.bind ? ", bound to cores" : "");
  if (plan.oversubscribed) text += "; more threads than cores, as asked for: jobs share cores and slow each other down";
  for (std::size_t i = 0; i < plan.nodes.size();) {
    const NodeShare& share = plan.nodes[i];
    std::size_t end = i + 1;
    // The coordinator's node has a line of its own.
    while (i > 0 && end < plan.nodes.size() && plan.nodes[end].workers == share.workers &&
           plan.nodes[end].cores == share.cores && plan.nodes[end].gpus == share.gpus) {
      ++end;
    }
    const std::string names =
        end == i + 1 ? share.node
                     : fmt::format("{} .. {} ({})", share.node, plan.nodes[end - 1].node, plural(end - i, "node"));
    text +=
        fmt::format("\n  {}: {}{} on {}{}{}", names, i == 0 ? "coordinator + " : "", plural(share.workers, "worker"),
                    plural(share.cores, "core"), share.gpus > 0 ? ", " + plural(share.gpus, "GPU") : "",
                    i == 0 && plan.coordinator_core ? " (one for the coordinator)" : "");
    i = end;
  }
  return text;
}

std::filesystem::path find_mpirun() {
  const std::string program = find_on_path("mpirun");
  if (program.empty())
    throw Error("mpirun is not on PATH. Cure: install Open MPI (Debian: openmpi-bin) or load its module.");
  return program;
}

std::vector<std::string> mpirun_command(const LaunchPlan& plan, const std::filesystem::path& program_folder,
                                        const std::filesystem::path& run_folder,
                                        const std::filesystem::path& life_file) {
  std::vector<std::string> command = common_arguments(plan);
  const bool remote = plan.nodes.size() > 1 || plan.source == Source::hostfile;
  const auto ranks = [&](std::uint32_t count, const char* program) {
    command.insert(command.end(), {"-np", std::to_string(count)});
    if (remote) command.insert(command.end(), {"--host", host_list(plan, false)});
    command.insert(command.end(), {(program_folder / program).string(), run_folder.string(), life_file.string()});
  };
  ranks(1, "guda-coordinator");
  command.emplace_back(":");
  ranks(plan.workers, "guda-agent");
  return command;
}

std::vector<std::string> each_node_command(const LaunchPlan& plan, const std::vector<std::string>& program) {
  std::vector<std::string> command = common_arguments(plan);
  command.insert(command.end(), {"-np", std::to_string(std::max<std::size_t>(1, plan.nodes.size()))});
  if (plan.nodes.size() > 1 || plan.source == Source::hostfile)
    command.insert(command.end(), {"--host", host_list(plan, true)});
  command.insert(command.end(), program.begin(), program.end());
  return command;
}

Json to_json(const LaunchPlan& plan) {
  Json nodes = Json::array();
  for (const NodeShare& share : plan.nodes) nodes.push_back({{"node", share.node}, {"workers", share.workers}});
  return {{"device", plan.device},
          {"threads", plan.threads},
          {"bind", plan.bind},
          {"per_device", plan.per_device},
          {"coordinator_core", plan.coordinator_core},
          {"nodes", nodes}};
}

}  // namespace guda::cluster
