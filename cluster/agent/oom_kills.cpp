#include "cluster/agent/oom_kills.hpp"

#include <fstream>
#include <optional>
#include <string>

namespace guda::cluster {
namespace {

/// The number behind "name " at the start of a line.
std::optional<std::uint64_t> counter(const std::filesystem::path& file, const std::string& name) {
  std::ifstream in(file);
  std::string word;
  std::uint64_t value = 0;
  while (in >> word >> value) {
    if (word == name) return value;
  }
  return std::nullopt;
}

/// Our group in the unified hierarchy: the line "0::/path".
std::string unified_group(const std::filesystem::path& proc) {
  std::ifstream in(proc / "self" / "cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("0::/")) return line.substr(4);
  }
  return "";
}

}  // namespace

std::uint64_t oom_kills(const std::filesystem::path& proc, const std::filesystem::path& cgroups) {
  if (const auto own = counter(cgroups / unified_group(proc) / "memory.events", "oom_kill")) return *own;
  return counter(proc / "vmstat", "oom_kill").value_or(0);
}

}  // namespace guda::cluster
