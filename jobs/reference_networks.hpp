#pragma once
// The two networks that devices are compared by: those of the GUDA paper's experiments.
#include <array>

#include "common/json.hpp"

namespace guda::jobs {

struct ReferenceNetwork {
  const char* name;
  const char* title;
  Json (*config)();
};

/// The CIFAR-10 UNet2DModel (49,062,787 parameters, 8.38 GMAC a forward of 32 x 32 pixels).
[[nodiscard]] Json cifar10_unet();
/// The UNet2DConditionModel of Stable Diffusion 1.5 (859,520,964 parameters, 402 GMAC a forward of 64 x 64 latents with
/// a text of 77 tokens).
[[nodiscard]] Json stable_diffusion_unet();

inline constexpr std::array kReferenceNetworks{ReferenceNetwork{"cifar10", "CIFAR-10 UNet, 49 M", &cifar10_unet},
                                               ReferenceNetwork{"sd15", "SD 1.5 UNet, 860 M", &stable_diffusion_unet}};

}  // namespace guda::jobs
