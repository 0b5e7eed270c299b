#include "worker/training/checkpoint_rule.hpp"

#include <algorithm>

#include "common/digest.hpp"
#include "common/random.hpp"

namespace guda::worker {

double checkpoint_interval(const CheckpointRule& rule, double predicted, double write) {
  if (rule.every > 0) return rule.every;
  return std::max({std::min(rule.longest, rule.fraction * predicted), rule.write_times * write, rule.shortest});
}

double checkpoint_jitter(const std::string& worker, std::uint64_t count) {
  return 0.8 + 0.4 * random_uniform((SeedPath(0) / "checkpoint" / worker).value(), count);
}

}  // namespace guda::worker
