#include "worker/models/seeded_build.hpp"

#include <mutex>

namespace guda::worker {

void build_seeded(std::uint64_t seed, const std::function<void()>& construct) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  const at::Tensor before = generator.get_state();
  generator.set_current_seed(seed);
  construct();
  generator.set_state(before);
}

}  // namespace guda::worker
