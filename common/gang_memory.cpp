#include "common/gang_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cctype>
#include <system_error>

#include "common/digest.hpp"
#include "common/protocol.hpp"

namespace guda {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGangPrefix = "guda-";
constexpr std::size_t kLongestGangName = 96;

/// "guda-<run>-"
std::string gang_prefix_of(const fs::path& run_folder) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(run_folder, error);
  return std::string(kGangPrefix) + digest_of((error ? run_folder : whole).string()).hex.substr(0, 16) + "-";
}

}  // namespace

std::string gang_memory_name(const fs::path& run_folder, std::uint32_t epoch, const Lease& lease) {
  return gang_prefix_of(run_folder) + std::to_string(epoch) + "-" + std::to_string(lease.job) + "-" +
         std::to_string(lease.attempt);
}

bool is_gang_memory_name(std::string_view name) {
  return name.starts_with(kGangPrefix) && name.size() <= kLongestGangName &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
}

void remove_gang_memory(const std::string& name) noexcept { ::shm_unlink(("/" + name).c_str()); }

void remove_gang_memory_of(const fs::path& run_folder, std::uint32_t but_not) noexcept {
  const std::string run = gang_prefix_of(run_folder), life = run + std::to_string(but_not) + "-";
  std::error_code error;
  for (fs::directory_iterator at("/dev/shm", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(run) && !name.starts_with(life)) remove_gang_memory(name);
  }
}

}  // namespace guda
