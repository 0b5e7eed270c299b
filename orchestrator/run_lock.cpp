#include "orchestrator/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <thread>

#include "common/error.hpp"
#include "common/process.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kSilence = 300;
constexpr int kSettle = 1000;  // ms

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string read_nonce(const std::filesystem::path& lock) {
  try {
    return Json::parse(read_file(lock)).value("nonce", "");
  } catch (const std::exception&) {
    return "";
  }
}

/// Whether the lock's time stamp moves within `seconds` of our steady clock.
bool renewed_within(const std::filesystem::path& lock, double seconds) {
  struct stat before{}, now{};
  if (::stat(lock.c_str(), &before) != 0) return false;
  for (double waited = 0; waited < seconds; waited += 0.1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (::stat(lock.c_str(), &now) != 0) return false;
    if (now.st_mtim.tv_sec != before.st_mtim.tv_sec || now.st_mtim.tv_nsec != before.st_mtim.tv_nsec ||
        now.st_ino != before.st_ino)
      return true;
  }
  return false;
}

/// Now, by the clock that stamps files there: that of a server may differ from ours. Ours where nothing can be written.
double file_system_time(const std::filesystem::path& folder) {
  const std::filesystem::path probe = folder / (".clock." + std::to_string(::getpid()) + ".partial");
  struct stat info{};
  const Fd fd(::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const bool stamped = fd && ::fstat(fd.get(), &info) == 0;
  if (fd) ::unlink(probe.c_str());
  return stamped ? double(info.st_mtim.tv_sec) : double(std::time(nullptr));
}

}  // namespace

std::optional<LockInfo> read_lock(const std::filesystem::path& lock) {
  try {
    const Json j = Json::parse(read_file(lock));
    struct stat info{};
    if (::stat(lock.c_str(), &info) != 0) return std::nullopt;
    LockInfo result;
    result.epoch = j.at("epoch").get<std::uint32_t>();
    result.host = j.at("host").get<std::string>();
    result.boot = j.at("boot").get<std::string>();
    result.user = j.at("user").get<std::string>();
    result.pid = j.at("pid").get<int>();
    result.pid_start = j.at("pid_start").get<std::uint64_t>();
    result.slurm_job = j.at("slurm_job").get<std::string>();
    result.slurm_restarts = j.at("slurm_restarts").get<std::string>();
    result.age = std::difftime(std::time(nullptr), info.st_mtime);
    return result;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

bool is_local(const LockInfo& info) { return info.boot == boot_id() && info.host == host_name(); }

bool owner_alive(const LockInfo& info) {
  if (info.pid == 0) return false;  // released
  if (is_local(info)) return process_start_time(info.pid) == info.pid_start;
  // A later life of the same Slurm job proves that the earlier one has ended.
  if (!info.slurm_job.empty() && info.slurm_job == environment("SLURM_JOB_ID") &&
      info.slurm_restarts != environment("SLURM_RESTART_COUNT")) {
    return false;
  }
  return info.age < kSilence;
}

std::string describe(const LockInfo& info) {
  const std::string sign = info.age < -10 ? "last sign from the future (a clock was set)"
                                          : fmt::format("last sign {:.0f} s ago", std::max(0.0, info.age));
  return fmt::format("{}@{} pid {}{}, life {}, {}", info.user, info.host, info.pid,
                     info.slurm_job.empty() ? "" : " (Slurm job " + info.slurm_job + ")", info.epoch, sign);
}

RunLock::RunLock(const std::filesystem::path& lock, double watch)
    : path_(lock), nonce_(std::to_string(std::random_device{}()) + "-" + std::to_string(::getpid())) {
  auto owner = read_lock(path_);
  // Another host's silence is measured with the clock that stamped its last sign.
  if (owner && !is_local(*owner)) owner->age += file_system_time(path_.parent_path()) - double(std::time(nullptr));
  take_flock(owner);
  if (owner && owner_alive(*owner)) {
    std::string cure = "Cure: guda status shows it; wait, or stop that run first (guda stop).";
    if (!is_local(*owner) && owner->age < -10) {
      cure = "Cure: guda status shows it. If it is gone: touch " + path_.string() +
             ", and five minutes later the same command takes over.";
    }
    throw Error("the run directory " + path_.parent_path().string() + " is at work: " + describe(*owner) + ". " + cure);
  }
  if (owner && owner->pid != 0 && !is_local(*owner) && renewed_within(path_, watch)) {
    throw Error("the run directory " + path_.parent_path().string() + " is at work on another host after all: " +
                describe(*owner) + ". Cure: guda status shows it; wait, or stop that run first (guda stop).");
  }
  if (owner) epoch_ = owner->epoch;
  write();
  if (note_.empty()) return;
  // Without flock two starters may have seen a free lock at the same time: the one whose name stays is the owner.
  std::this_thread::sleep_for(std::chrono::milliseconds(kSettle));
  if (read_nonce(path_) != nonce_) {
    const auto winner = read_lock(path_);
    throw Error("the run directory " + path_.parent_path().string() + " was taken at the same moment by " +
                (winner ? describe(*winner) : std::string("somebody else")) +
                ". Cure: guda status shows it; wait, or stop that run first.");
  }
}

void RunLock::take_flock(const std::optional<LockInfo>& owner) {
  // flock needs a file that is never replaced; the identity beside it is, so that readers see it whole.
  const std::filesystem::path guard = path_.string() + ".flock";
  fd_ = open_file(guard, O_RDWR | O_CREAT, 0600);
  while (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    if (code == EINTR) continue;
    if (code == EWOULDBLOCK) {
      throw Error("the run directory " + path_.parent_path().string() +
                  " is at work: " + (owner ? describe(*owner) : std::string("owner unknown")) +
                  ". Cure: guda status shows it; wait, or stop that run first (guda stop).");
    }
    if (code != ENOLCK && code != EOPNOTSUPP && code != ENOSYS && code != EINVAL)
      throw IoError(errno_text("cannot lock", guard, code));
    note_ = fmt::format(
        "{}: this file system has no flock ({}); the identity in {} and exclusive journal files keep second owners "
        "away instead",
        guard.string(), std::strerror(code), path_.string());
    return;
  }
}

RunLock::~RunLock() {
  // Released, not removed: the epoch in it keeps stale owners away.
  try {
    if (read_nonce(path_) == nonce_) {
      Json j = Json::parse(read_file(path_));
      j["pid"] = 0;
      replace_file(path_, j.dump(1), false);
    }
  } catch (const std::exception&) {
    // A lock that can't be released is taken over by the rules above.
  }
}

void RunLock::set_epoch(std::uint32_t epoch) {
  epoch_ = epoch;
  write();
}

bool RunLock::renew() {
  if (read_nonce(path_) != nonce_) return false;
  ::utimensat(AT_FDCWD, path_.c_str(), nullptr, 0);
  return true;
}

void RunLock::write() const {
  const passwd* user = ::getpwuid(::getuid());
  const Json j{{"epoch", epoch_},
               {"host", host_name()},
               {"boot", boot_id()},
               {"user", user ? user->pw_name : std::to_string(::getuid())},
               {"pid", ::getpid()},
               {"pid_start", process_start_time(::getpid())},
               {"slurm_job", environment("SLURM_JOB_ID")},
               {"slurm_restarts", environment("SLURM_RESTART_COUNT")},
               {"nonce", nonce_}};
  replace_file(path_, j.dump(1), true);
}

}  // namespace guda::orchestrator
