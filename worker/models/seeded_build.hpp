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

/// Calls `construct`; what it would draw at random is left unset, memory that nothing has touched yet. For models whose
/// weights come from elsewhere: drawing those of Stable Diffusion takes longer than reading them.
void build_unset(const std::function<void()>& construct);

/// Seeds torch's generators, which dropout draws from; waits while another thread of the process constructs a model.
void seed_generators(std::uint64_t seed);

}  // namespace guda::worker
