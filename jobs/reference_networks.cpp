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

}  // namespace guda::jobs
