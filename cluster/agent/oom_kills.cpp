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

/// Our group in a hierarchy: "path" of the line "<number>:<controller>:/path". No controller: the unified one.
std::string group_of(const std::filesystem::path& proc, const std::string& controller) {
  std::ifstream in(proc / "self" / "cgroup");
  const std::string wanted = ":" + controller + ":/";
  for (std::string line; std::getline(in, line);) {
    const std::size_t at = line.find(wanted);
    if (at != std::string::npos && at == line.find(':')) return line.substr(at + wanted.size());
  }
  return "";
}

}  // namespace

std::uint64_t oom_kills(const std::filesystem::path& proc, const std::filesystem::path& cgroups) {
  if (const auto own = counter(cgroups / group_of(proc, "") / "memory.events", "oom_kill")) return *own;
  if (const auto own = counter(cgroups / "memory" / group_of(proc, "memory") / "memory.oom_control", "oom_kill"))
    return *own;
  return counter(proc / "vmstat", "oom_kill").value_or(0);
}

}  // namespace guda::cluster
