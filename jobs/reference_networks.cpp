#include "jobs/reference_networks.hpp"

namespace guda::jobs {

Json cifar10_unet() {
  return {{"sample_size", 32},
          {"in_channels", 3},
          {"out_channels", 3},
          {"down_block_types", {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"}},
          {"up_block_types", {"UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"}},
          {"block_out_channels", {128, 256, 256, 256}},
          {"layers_per_block", 3},
          {"attention_head_dim", 8},
          {"norm_num_groups", 32},
          {"dropout", 0.3}};
}

Json stable_diffusion_unet() {
  return {{"_class_name", "UNet2DConditionModel"},
          {"sample_size", 64},
          {"in_channels", 4},
          {"out_channels", 4},
          {"down_block_types", {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"}},
          {"up_block_types", {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"}},
          {"block_out_channels", {320, 640, 1280, 1280}},
          {"layers_per_block", 2},
          {"attention_head_dim", 8},
          {"cross_attention_dim", 768},
          {"norm_num_groups", 32}};
}

}  // namespace guda::jobs
