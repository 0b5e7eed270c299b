#include "worker/models/seeded_build.hpp"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>
#include <torch/utils.h>

#include <mutex>

namespace guda::worker {
namespace {

std::mutex& generators() {
  static std::mutex one_at_a_time;
  return one_at_a_time;
}

// A dispatch key that nothing else uses, on this thread, in front of the CPU's: all operations pass through but two.
constexpr c10::DispatchKey kUnset = c10::DispatchKey::TESTING_ONLY_GenericMode;

at::Tensor& leave_uniform(at::Tensor& self, double, double, std::optional<at::Generator>) { return self; }
at::Tensor& leave_normal(at::Tensor& self, double, double, std::optional<at::Generator>) { return self; }

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, TESTING_ONLY_GenericMode, m) {
  m.impl("uniform_", leave_uniform);
  m.impl("normal_", leave_normal);
}

}  // namespace

void build_unset(const std::function<void()>& construct) {
  const c10::impl::IncludeDispatchKeyGuard guard(kUnset);
  construct();
}

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
