#pragma once
// Construction of models whose initial weights are a function of a seed.
#include <ATen/Context.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>

namespace guda::worker {

/// Calls `construct` with torch's CPU generator seeded, and gives the generator back as it was. One at a time in the
/// process; nothing else may draw from that generator meanwhile.
void build_seeded(std::uint64_t seed, const std::function<void()>& construct);

}  // namespace guda::worker
