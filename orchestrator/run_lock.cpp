#include "orchestrator/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "common/error.hpp"
#include "common/process.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kSilence = 300;

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

}  // namespace

std::optional<LockInfo> read_lock(const std::filesystem::path& lock) {
  try {
    const Json j = Json::parse(read_file(lock));
    struct stat info {};
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

bool owner_alive(const LockInfo& info) {
  if (info.pid == 0) return false;  // released
  if (info.boot == boot_id() && info.host == host_name()) return process_start_time(info.pid) == info.pid_start;
  // A later life of the same Slurm job proves that the earlier one has ended.
  if (!info.slurm_job.empty() && info.slurm_job == environment("SLURM_JOB_ID") && info.slurm_restarts != environment("SLURM_RESTART_COUNT")) {
    return false;
  }
  return info.age < kSilence;
}

std::string describe(const LockInfo& info) {
  return fmt::format("{}@{} pid {}{}, life {}, last sign {:.0f} s ago", info.user, info.host, info.pid,
                     info.slurm_job.empty() ? "" : " (Slurm job " + info.slurm_job + ")", info.epoch, info.age);
}

RunLock::RunLock(const std::filesystem::path& lock) : path_(lock), nonce_(std::to_string(std::random_device{}()) + "-" + std::to_string(::getpid())) {
  const auto owner = read_lock(path_);
  // flock needs a file that is never replaced; the identity beside it is, so that readers see it whole.
  const std::filesystem::path guard = path_.string() + ".flock";
  fd_ = open_file(guard, O_RDWR | O_CREAT, 0600);
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      throw Error("the run directory " + path_.parent_path().string() + " is at work: " +
                  (owner ? describe(*owner) : std::string("owner unknown")) + ". Cure: guda status shows it; wait, or stop that run first.");
    }
    // No flock here (some network file systems): the identity alone decides.
  }
  if (owner && owner_alive(*owner)) {
    throw Error("the run directory " + path_.parent_path().string() + " is at work: " + describe(*owner) +
                ". Cure: guda status shows it; wait, or stop that run first.");
  }
  if (owner) epoch_ = owner->epoch;
  write();
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
  const Json j{{"epoch", epoch_}, {"host", host_name()}, {"boot", boot_id()}, {"user", user ? user->pw_name : std::to_string(::getuid())},
               {"pid", ::getpid()}, {"pid_start", process_start_time(::getpid())}, {"slurm_job", environment("SLURM_JOB_ID")},
               {"slurm_restarts", environment("SLURM_RESTART_COUNT")}, {"nonce", nonce_}};
  replace_file(path_, j.dump(1), true);
}

}  // namespace guda::orchestrator
