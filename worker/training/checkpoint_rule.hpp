#pragma once
// When a long job saves its state: pure arithmetic, no clock.
#include <cstdint>
#include <string>

namespace guda::worker {

/// All in seconds unless said otherwise.
struct CheckpointRule {
  double every = 0;         ///< a fixed interval; 0 = by the rule of checkpoint_interval()
  double longest = 300;     ///< at most this much work is lost to a kill ...
  double fraction = 0.1;    ///< ... or this part of the job, whichever is less,
  double write_times = 20;  ///< unless writing is slow: at least this many times what a checkpoint takes to write,
  double shortest = 2;      ///< and never less than this: starting a worker costs about as much
};

/// Seconds from one checkpoint to the next: rule.every, else max(min(longest, fraction of the whole job), write_times
/// times the last write, shortest). `predicted`: the whole job, as measured so far; `write`: the last checkpoint, 0
/// before it.
[[nodiscard]] double checkpoint_interval(const CheckpointRule& rule, double predicted, double write);

/// Factor in [0.8, 1.2) on the interval number `count` of a worker: workers that began together do not keep writing
/// together. A function of its arguments only.
[[nodiscard]] double checkpoint_jitter(const std::string& worker, std::uint64_t count);

}  // namespace guda::worker
