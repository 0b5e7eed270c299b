#pragma once
// The shape of an AutoencoderKL: config.json of diffusers 0.31 as a plain struct. No torch here.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::worker {

/// Field names, meanings and defaults are those of diffusers' AutoencoderKL. What Stable Diffusion 1.x, 2.x and XL use
/// is here; keys of other models (Flux's shift, the means of video latents) are accepted with their default only.
struct AutoencoderKLConfig {
  std::uint32_t in_channels = 3;
  std::uint32_t out_channels = 3;
  std::vector<std::string> down_block_types{"DownEncoderBlock2D"};
  std::vector<std::string> up_block_types{"UpDecoderBlock2D"};
  std::vector<std::uint32_t> block_out_channels{64};
  std::uint32_t layers_per_block = 1;  ///< of the encoder; the decoder has one more
  std::string act_fn = "silu";         ///< silu | swish | mish | gelu | relu; the norms at both ends keep SiLU
  std::uint32_t latent_channels = 4;
  std::uint32_t norm_num_groups = 32;
  std::array<std::uint32_t, 2> sample_size{32, 32};  ///< height, width; information only
  double scaling_factor = 0.18215;                   ///< a diffusion model sees latents times this
  bool force_upcast = true;                          ///< no 16 bit arithmetic: ours never is
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;
  bool mid_block_add_attention = true;  ///< one head over the pixels between encoder and decoder

  /// Keys beginning with "_" are skipped, but "_class_name" must be AutoencoderKL. One Error lists every unknown key,
  /// unsupported value and misfit; `where` (a file, a key of the experiment) begins its message.
  [[nodiscard]] static AutoencoderKLConfig from_json(const Json& json,
                                                     const std::string& where = "AutoencoderKL config");
  /// Every supported field under diffusers' key, plus "_class_name" and "_diffusers_version".
  [[nodiscard]] Json to_json() const;

  /// Pixels along one side of a latent's pixel.
  [[nodiscard]] std::uint32_t reduction() const noexcept { return 1U << (block_out_channels.size() - 1); }
};

}  // namespace guda::worker
