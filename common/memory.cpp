#include "common/memory.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace guda {
namespace fs = std::filesystem;
namespace {

std::optional<double> number_in(const fs::path& file) {
  std::ifstream in(file);
  double value = 0;
  if (in >> value) return value;  // "max" is no number: no limit
  return std::nullopt;
}

double number_after(const fs::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name)) return std::stod(line.substr(name.size()));
  }
  return 0;
}

struct Names {
  const char *limit, *used, *files;
};

/// The least room in a group and those above it.
double room(const fs::path& root, fs::path group, const Names& names, double most) {
  while (true) {
    const fs::path folder = root / group.relative_path();
    const auto limit = number_in(folder / names.limit), used = number_in(folder / names.used);
    if (limit && used)
      most = std::min(most, std::max(0.0, *limit - *used + number_after(folder / "memory.stat", names.files)));
    if (!group.has_relative_path()) return most;
    group = group.parent_path();
  }
}

}  // namespace

double free_memory(const fs::path& proc, const fs::path& cgroups) {
  double free = 1024 * number_after(proc / "meminfo", "MemAvailable:");
  std::ifstream own(proc / "self" / "cgroup");
  for (std::string line; std::getline(own, line);) {
    // "<number>:<controllers>:/path"; no controller: the unified hierarchy.
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) free = room(cgroups, group, {"memory.max", "memory.current", "inactive_file "}, free);
    if (controllers == "memory")
      free = room(cgroups / "memory", group, {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
                  free);
  }
  return free;
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
