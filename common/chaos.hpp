#pragma once
// `guda run --chaos`: faults on purpose, for people who want to trust a cluster before a big sweep and for our own
// tests. docs/reliability.md explains the words. Everything that is not named here happens to nobody.
//
//   seed=7,kill=0.02,stop=0.01,slow=0.05,torn=0.01,agent=0.005,coordinator=0.01      shares, of attempts or of commits
//   crash=LABEL[@DEVICE],hang=..,nan=..,oom=..,io=..,device=..,disk=..               every attempt of the jobs named so
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"
#include "common/protocol.hpp"

namespace guda {

/// What is done to an attempt.
enum class Fault : unsigned char {
  kill,    ///< its worker gets SIGKILL
  stop,    ///< its worker gets SIGSTOP, for good
  slow,    ///< its worker gets SIGSTOP and a moment later SIGCONT
  agent,   ///< its agent gets SIGKILL, and the worker with it
  crash,   ///< its worker gets SIGSEGV
  disk,    ///< what its worker writes for it fails with ENOSPC
  report,  ///< it is reported as failed without being run
};

struct ChaosSpec {
  struct Target {
    Fault fault{};
    ErrorClass error = ErrorClass::none;  ///< of `report`
    std::string label;                    ///< a job's label contains it; "*": every job
    std::string device;                   ///< the device's name ends with it; empty: any
  };
  std::uint64_t seed = 0;
  double kill = 0, stop = 0, slow = 0, agent = 0;  ///< probability per attempt
  double torn = 0, coordinator = 0;  ///< probability per commit: half a journal record is written, or none, and
                                     ///< the coordinator dies
  std::vector<Target> targets;
  std::string text;  ///< as it was written; empty: no chaos
};

/// Throws Error naming the word that is wrong and those that exist.
[[nodiscard]] ChaosSpec parse_chaos(const std::string& text);

struct Injection {
  Fault fault{};
  ErrorClass error = ErrorClass::none;
  double after = 0;  ///< s after the worker got the job
};

/// What happens to an attempt. Depends on the seed, the job's label and the attempt only, never on time, rank or order.
[[nodiscard]] std::optional<Injection> injection_for(const ChaosSpec& chaos, std::string_view label,
                                                     std::uint32_t attempt, std::string_view device);

enum class CoordinatorFault : unsigned char { none, torn, die };
/// What happens to the coordinator right after it made this job's result durable in life `epoch`.
[[nodiscard]] CoordinatorFault coordinator_fault(const ChaosSpec& chaos, std::string_view label, std::uint32_t epoch);

}  // namespace guda
