#pragma once
// The two networks that devices are compared by: those of the GUDA paper's experiments, on CIFAR-10 and
// with Stable Diffusion 1.5 (stable_diffusion_unet: 402 GMAC a forward of 64 x 64 latents with a text of 77 tokens).
#include <array>

#include "common/json.hpp"
#include "jobs/pipeline_folder.hpp"

namespace guda::jobs {

struct ReferenceNetwork {
  const char* name;
  const char* title;
  Json (*config)();
};

/// The CIFAR-10 UNet2DModel (49,062,787 parameters, 8.38 GMAC a forward of 32 x 32 pixels).
[[nodiscard]] Json cifar10_unet();

inline constexpr std::array kReferenceNetworks{ReferenceNetwork{"cifar10", "CIFAR-10 UNet, 49 M", &cifar10_unet},
                                               ReferenceNetwork{"sd15", "SD 1.5 UNet, 860 M", &stable_diffusion_unet}};

}  // namespace guda::jobs
