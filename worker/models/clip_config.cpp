#include "worker/models/clip_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/error.hpp"
#include "worker/models/config_reader.hpp"

namespace guda::worker {
namespace {

/// The part of a CLIPModel's config that describes one tower; the whole where there is no such part.
const Json& tower(const Json& json, const char* part, const std::string& where) {
  if (!json.is_object()) throw Error(where + ": is not a JSON object; take the folder that transformers saved");
  const auto found = json.find(part);
  return found != json.end() && found->is_object() ? *found : json;
}

void read_encoder(ConfigReader& reader, ClipEncoderConfig& c) {
  reader.count("hidden_size", c.hidden_size, 1, kMaxChannels);
  reader.count("intermediate_size", c.intermediate_size, 1, 4 * kMaxChannels);
  reader.count("num_hidden_layers", c.num_hidden_layers, 1, kMaxLayers);
  reader.count("num_attention_heads", c.num_attention_heads, 1, kMaxChannels);
  reader.number("layer_norm_eps", c.layer_norm_eps, 0, 1);
  reader.choice("hidden_act", c.hidden_act, {"quick_gelu", "gelu"});
  if (c.hidden_size % c.num_attention_heads != 0)
    reader.fault("hidden_size", fmt::format("{} is not a multiple of num_attention_heads", c.hidden_size));
}

void throw_faults(const ConfigReader& reader, const std::string& where) {
  if (!reader.faults().empty()) throw Error(fmt::format("{}: {}", where, fmt::join(reader.faults(), "; ")));
}

}  // namespace

ClipTextConfig ClipTextConfig::from_json(const Json& json, const std::string& where) {
  const Json& text = tower(json, "text_config", where);
  ClipTextConfig c;
  ConfigReader reader(text);
  read_encoder(reader, c);
  constexpr std::uint32_t kMostPositions = 65536;
  reader.count("vocab_size", c.vocab_size, 1, kMaxClasses);
  reader.count("max_position_embeddings", c.max_position_embeddings, 1, kMostPositions);
  reader.count("eos_token_id", c.eos_token_id, 0, kMaxClasses);
  throw_faults(reader, where);
  return c;
}

Json ClipTextConfig::to_json(std::uint32_t projection) const {
  Json json = {{"architectures", {projection > 0 ? "CLIPTextModelWithProjection" : "CLIPTextModel"}},
               {"model_type", "clip_text_model"},
               {"torch_dtype", "float32"},
               {"hidden_size", hidden_size},
               {"intermediate_size", intermediate_size},
               {"num_hidden_layers", num_hidden_layers},
               {"num_attention_heads", num_attention_heads},
               {"layer_norm_eps", layer_norm_eps},
               {"hidden_act", hidden_act},
               {"vocab_size", vocab_size},
               {"max_position_embeddings", max_position_embeddings},
               {"eos_token_id", eos_token_id}};
  if (projection > 0) json["projection_dim"] = projection;
  return json;
}

ClipVisionConfig ClipVisionConfig::from_json(const Json& json, const std::string& where) {
  const Json& vision = tower(json, "vision_config", where);
  ClipVisionConfig c;
  ConfigReader reader(vision);
  read_encoder(reader, c);
  reader.count("image_size", c.image_size, 1, kMaxImage);
  reader.count("patch_size", c.patch_size, 1, kMaxImage);
  if (c.image_size < c.patch_size) reader.fault("image_size", "is less than patch_size");
  throw_faults(reader, where);
  return c;
}

}  // namespace guda::worker
