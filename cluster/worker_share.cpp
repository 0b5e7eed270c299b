#include "cluster/worker_share.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <cerrno>
#include <cstring>

#include "common/error.hpp"

namespace guda::cluster {

WorkerShare share_of(const Json& launch, std::uint32_t rank, const std::string& host, const std::vector<int>& mask,
                     const std::vector<Gpu>& gpus) {
  WorkerShare share;
  std::uint32_t local = rank - 1;
  bool first_node = true, found = false;
  for (const Json& node : launch.at("nodes")) {
    const auto here = node.at("workers").get<std::uint32_t>();
    found = local < here;
    share.workers_here = here;
    if (found) break;
    local -= here;
    first_node = false;
  }
  if (!found) throw Error(fmt::format("rank {} is not in the launch plan", rank));
  const bool cuda = launch.at("device") == "cuda";
  share.device = fmt::format("{}/cpu{}", host, local + 1);
  if (cuda) {
    const std::uint32_t per_device = launch.value("per_device", 1U);
    if (local >= gpus.size() * per_device) {
      throw Error(
          fmt::format("{} shows {} GPUs, but the launch plan puts worker {} there. Cure: guda doctor on that node; "
                      "exclude the node.",
                      host, gpus.size(), local + 1));
    }
    // Round by round over the GPUs: one is shared only when all have a worker.
    const std::size_t gpu = local % gpus.size();
    share.gpu = gpus[gpu].uuid;
    share.place = static_cast<std::uint32_t>(local / gpus.size());
    share.device =
        per_device == 1 ? fmt::format("{}/gpu{}", host, gpu) : fmt::format("{}/gpu{}.{}", host, gpu, share.place);
  }
  const auto threads = launch.at("threads").get<std::size_t>();
  const std::size_t first = (first_node && launch.at("coordinator_core").get<bool>() ? 1 : 0) + local * threads;
  if (launch.at("bind").get<bool>() && first + threads <= mask.size()) {
    share.cores.assign(mask.begin() + static_cast<std::ptrdiff_t>(first),
                       mask.begin() + static_cast<std::ptrdiff_t>(first + threads));
  }
  return share;
}

std::vector<int> affinity_mask() {
  cpu_set_t set;
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cores.push_back(i);
  }
  return cores;
}

void bind_to(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<std::size_t>(core), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    throw Error(std::string("cannot bind to cores: ") + std::strerror(errno));
}

}  // namespace guda::cluster
