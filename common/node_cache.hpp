#pragma once
// One copy of every artifact that the workers of a node read, on the node itself: the shared file system is read once a
// node, not once a worker. Processes find each other by file locks, which end with their owner, however it ends.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>

#include "common/digest.hpp"
#include "common/files.hpp"

namespace guda {

/// Where the cache of this node lies.
struct NodeCachePlace {
  std::filesystem::path folder;  ///< that holds it; empty: there is none
  std::uint64_t most = 0;        ///< bytes
  bool keep = false;             ///< what is in it stays for later runs; else the last process that leaves empties it
  std::string why;               ///< for people
};

/// By `setting` (resources.node_cache): "off"; a folder, which keeps what is in it; or "", which leaves it to us: off
/// where `run_folder` lies on a disk of this node, since the kernel's page cache then does the same, else in
/// $GUDA_NODE_CACHE, which keeps, or the first of $SLURM_TMPDIR, $TMPDIR and /tmp that is no network file system.
/// `gigabytes` (1e9) is the largest size; 0: a quarter of the folder's file system, at most 64. Never throws.
[[nodiscard]] NodeCachePlace node_cache_place(const std::string& setting, double gigabytes,
                                              const std::filesystem::path& run_folder);

/// The file system's name where other machines see the same files (nfs, lustre, ...); "" for a disk of this node.
[[nodiscard]] std::string network_file_system(const std::filesystem::path& folder);

/// What one process has had of the cache.
struct NodeCacheUse {
  std::uint64_t read = 0;   ///< bytes that it copied from the shared file system
  std::uint64_t found = 0;  ///< bytes of artifacts that lay there already
  double read_seconds = 0, waited_seconds = 0;
};

/// Any number of processes of one user, any thread. Killing one at any instant leaves nothing that another one takes
/// for whole: an artifact gets its name after its last byte was compared with its checksum, and half a copy is removed
/// by whoever holds its lock next. A folder per boot makes up for the writes that are never synced.
class NodeCache {
 public:
  /// `note`: a line for the worker's log. A place that can't be used is noted, and everything is read where it lies.
  NodeCache(NodeCachePlace place, std::function<void(const std::string&)> note);
  ~NodeCache();
  NodeCache(const NodeCache&) = delete;
  NodeCache& operator=(const NodeCache&) = delete;

  /// A folder that may be read from; while it lives nobody evicts it.
  class Entry {
   public:
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

   private:
    friend class NodeCache;
    explicit Entry(std::filesystem::path path, Fd lock = {}) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::filesystem::path path_;
    Fd lock_;
  };

  /// The node's copy of the artifact `digest` that lies in `source`, made now if there is none. `source` itself where
  /// the cache is off, too small or full, where `source` has no checksums.json, or where whoever copies stands still.
  /// `waiting` is called a few times a second while another process copies; it may throw. Throws IoError when `source`
  /// can't be read or is not what its checksums say.
  [[nodiscard]] Entry artifact(const std::filesystem::path& source, const Digest& digest,
                               const std::function<void()>& waiting = {});

  [[nodiscard]] bool on() const noexcept { return static_cast<bool>(users_); }
  [[nodiscard]] NodeCacheUse use() const;

  static constexpr double kPatience = 30;  ///< s without a new byte before a copier counts as standing still

 private:
  struct Listing;
  void open();
  [[nodiscard]] bool fill(const std::filesystem::path& source, const Digest& digest);
  [[nodiscard]] bool reserve(const std::filesystem::path& partial, const Listing& listing);
  [[nodiscard]] bool evict_one();
  [[nodiscard]] std::filesystem::path at(const std::string& name) const { return folder_ / name; }

  const NodeCachePlace place_;
  const std::function<void(const std::string&)> note_;
  std::filesystem::path folder_;
  Fd users_;  // shared lock of users.lock
  mutable std::mutex mutex_;
  NodeCacheUse use_;
};

}  // namespace guda
