#pragma once
// The shapes of CLIP's two towers: config.json of transformers 4.46 as plain structs. No torch here.
#include <cstdint>
#include <string>

#include "common/json.hpp"

namespace guda::worker {

/// What both towers have. Field names are transformers' keys.
struct ClipEncoderConfig {
  std::uint32_t hidden_size = 512;
  std::uint32_t intermediate_size = 2048;
  std::uint32_t num_hidden_layers = 12;
  std::uint32_t num_attention_heads = 8;
  double layer_norm_eps = 1e-5;
  std::string hidden_act = "quick_gelu";  ///< quick_gelu | gelu
};

struct ClipTextConfig : ClipEncoderConfig {
  std::uint32_t vocab_size = 49408;
  std::uint32_t max_position_embeddings = 77;
  /// The pooled output is that of the first such token; 2 is what old files say and means the token of highest number.
  std::uint32_t eos_token_id = 49407;

  /// From the config of CLIPTextModel, CLIPTextModelWithProjection or CLIPModel. Absent keys have transformers'
  /// defaults, keys that do not change what is computed are skipped. One Error lists every fault behind `where`.
  [[nodiscard]] static ClipTextConfig from_json(const Json& json, const std::string& where);
  /// Of CLIPTextModel, or of CLIPTextModelWithProjection where `projection` > 0.
  [[nodiscard]] Json to_json(std::uint32_t projection) const;
};

struct ClipVisionConfig : ClipEncoderConfig {
  ClipVisionConfig() {
    hidden_size = 768;
    intermediate_size = 3072;
    num_attention_heads = 12;
  }
  std::uint32_t image_size = 224;
  std::uint32_t patch_size = 32;

  /// From the config of CLIPVisionModel, CLIPVisionModelWithProjection or CLIPModel; as above.
  [[nodiscard]] static ClipVisionConfig from_json(const Json& json, const std::string& where);
};

}  // namespace guda::worker
