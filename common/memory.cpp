#include "common/memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace guda {

double available_memory() {
  double available = 0;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    if (line.starts_with("MemAvailable:")) available = 1024 * std::stod(line.substr(13));
  }
  std::ifstream own("/proc/self/cgroup");
  for (std::string line; std::getline(own, line);) {
    if (!line.starts_with("0::")) continue;
    const std::string folder = "/sys/fs/cgroup" + line.substr(3);
    std::ifstream limit_file(folder + "/memory.max"), used_file(folder + "/memory.current");
    double limit = 0, used = 0;
    if (limit_file >> limit && used_file >> used) available = std::min(available, std::max(0.0, limit - used));
  }
  return available;
}

std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key; status.ignore(4096, '\n')) {
    std::uint64_t kib = 0;
    if (key == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << 5; }

}  // namespace guda
