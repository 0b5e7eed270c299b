#pragma once
// One owner of a run directory: flock where the file system has it, and an identity with a renewed mtime where it has
// not.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/files.hpp"
#include "common/json.hpp"

namespace guda::orchestrator {

struct LockInfo {
  std::uint32_t epoch = 0;
  std::string host, boot, user;
  int pid = 0;
  std::uint64_t pid_start = 0;
  std::string slurm_job, slurm_restarts;
  double age = 0;  ///< seconds since the last renewal by this machine's clock; below 0: a clock was set
};

/// Who holds (or held) the lock; nothing when there is none or it can't be read.
[[nodiscard]] std::optional<LockInfo> read_lock(const std::filesystem::path& lock);
/// Whether the owner's processes are on this machine and of this boot, so that they can be looked at and signalled.
[[nodiscard]] bool is_local(const LockInfo& info);
/// Whether that owner may still be at work: a living pid of this boot, or another host that renewed within 5 minutes. A
/// time stamp from the future (a clock was set) counts as renewed.
[[nodiscard]] bool owner_alive(const LockInfo& info);
[[nodiscard]] std::string describe(const LockInfo& info);

/// Held by the supervisor for its whole life.
class RunLock {
 public:
  /// Throws Error naming the owner when somebody else is at work, IoError when the lock can't be written. The silence
  /// of an owner on another host is only believed after `watch` seconds without a renewal (it renews every few
  /// seconds).
  explicit RunLock(const std::filesystem::path& lock, double watch = 15);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  /// What a person should know: empty, or that the file system has no flock and what protects the run instead.
  [[nodiscard]] const std::string& note() const { return note_; }
  /// Writes the epoch of a new life; also renews.
  void set_epoch(std::uint32_t epoch);
  /// Renews the mtime; call at least every 10 s. False when another owner has taken over: leave.
  [[nodiscard]] bool renew();

 private:
  void write() const;
  void take_flock(const std::optional<LockInfo>& owner);
  std::filesystem::path path_;
  Fd fd_;
  std::uint32_t epoch_ = 0;
  std::string nonce_, note_;
};

}  // namespace guda::orchestrator
