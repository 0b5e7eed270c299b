#include <fmt/format.h>
#include <sys/statfs.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "common/node_cache.hpp"

namespace guda {
namespace fs = std::filesystem;

namespace {

struct Magic {
  std::uint32_t number;
  const char* name;
};
// From linux/magic.h and the file systems' own sources. FUSE: sshfs, glusterfs, weka, gcsfuse and their like.
constexpr std::array kNetworked{Magic{0x6969, "nfs"},        Magic{0x0BD00BD0, "lustre"}, Magic{0x47504653, "gpfs"},
                                Magic{0xFF534D42, "cifs"},   Magic{0xFE534D42, "smb"},    Magic{0x00C36400, "ceph"},
                                Magic{0x19830326, "beegfs"}, Magic{0x01021997, "9p"},     Magic{0x5346414F, "afs"},
                                Magic{0x65735546, "fuse"},   Magic{0xAAD7AAEA, "panfs"},  Magic{0x20030528, "orangefs"},
                                Magic{0x7461636f, "ocfs2"},  Magic{0x01161970, "gfs2"},   Magic{0x013111A8, "ibrix"}};

constexpr double kLargest = 64e9, kShare = 0.25;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// The nearest folder above that is there.
fs::path existing(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder, error);
  while (!folder.empty() && folder != folder.root_path() && !fs::exists(folder, error)) folder = folder.parent_path();
  return folder;
}

std::uint64_t size_of(const fs::path& folder, double gigabytes) {
  if (gigabytes > 0) return static_cast<std::uint64_t>(gigabytes * 1e9);
  std::error_code error;
  const fs::space_info space = fs::space(existing(folder), error);
  return error ? 0 : static_cast<std::uint64_t>(std::min(kLargest, kShare * double(space.capacity)));
}

}  // namespace

std::string network_file_system(const fs::path& folder) {
  struct statfs s{};
  if (::statfs(existing(folder).c_str(), &s) != 0) return "";
  const auto magic = static_cast<std::uint32_t>(s.f_type);
  for (const Magic& row : kNetworked) {
    if (row.number == magic) return row.name;
  }
  return "";
}

NodeCachePlace node_cache_place(const std::string& setting, double gigabytes, const fs::path& run_folder) {
  const auto at = [&](const fs::path& folder, bool keep, const std::string& why) {
    NodeCachePlace place{folder, size_of(folder, gigabytes), keep, ""};
    place.why = fmt::format("{}, at most {:.3g} GB ({})", folder.string(), double(place.most) / 1e9, why);
    return place;
  };
  if (setting == "off") return {{}, 0, false, "off (resources.node_cache)"};
  if (!setting.empty()) return at(setting, true, "resources.node_cache");
  const std::string named = variable("GUDA_NODE_CACHE");
  if (named == "off") return {{}, 0, false, "off (GUDA_NODE_CACHE)"};
  const std::string remote = network_file_system(run_folder);
  if (remote.empty()) return {{}, 0, false, "off: the run folder is on a disk of this node"};
  if (!named.empty()) return at(named, true, "GUDA_NODE_CACHE, the run folder is on " + remote);
  for (const std::string& folder : {variable("SLURM_TMPDIR"), variable("TMPDIR"), std::string("/tmp")}) {
    if (!folder.empty() && fs::is_directory(folder) && network_file_system(folder).empty())
      return at(folder, false, "the run folder is on " + remote);
  }
  return {{}, 0, false, "off: no folder of this node's own (GUDA_NODE_CACHE names one)"};
}

}  // namespace guda
