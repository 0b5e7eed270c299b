#include "worker/models/seeded_build.hpp"

#include <torch/utils.h>

#include <mutex>

namespace guda::worker {
namespace {

std::mutex& generators() {
  static std::mutex one_at_a_time;
  return one_at_a_time;
}

}  // namespace

void seed_generators(std::uint64_t seed) {
  const std::lock_guard lock(generators());
  torch::manual_seed(seed);
}

void build_seeded(std::uint64_t seed, const std::function<void()>& construct) {
  const std::lock_guard lock(generators());
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  const at::Tensor before = generator.get_state();
  generator.set_current_seed(seed);
  construct();
  generator.set_state(before);
}

}  // namespace guda::worker
