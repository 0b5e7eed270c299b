#include "worker/kernels/kernels.hpp"

#include <string>
#include <vector>

#include "common/cpu.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels {

std::span<const Kernels* const> usable_kernels() {
  static const std::vector<const Kernels*> usable = [] {
    std::vector<const Kernels*> sets;
#if defined(__x86_64__)
    const std::string isa = cpu_isa();
    if (isa == "avx512") sets.push_back(&avx512::kSet);
    if (isa == "avx512" || isa == "avx2") sets.push_back(&avx2::kSet);
#endif
    sets.push_back(&baseline::kSet);
    return sets;
  }();
  return usable;
}

const Kernels& kernels() { return *usable_kernels().front(); }

}  // namespace guda::worker::kernels
