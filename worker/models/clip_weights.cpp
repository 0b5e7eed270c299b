#include "worker/models/clip_weights.hpp"

#include <string>

#include "common/error.hpp"
#include "worker/models/config_reader.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {

std::uint32_t clip_projection_width(const std::filesystem::path& folder, ClipTower tower) {
  const std::string name = tower == ClipTower::text ? "text_projection.weight" : "visual_projection.weight";
  const auto shape = stored_shape(folder, kClipWeights, name);
  if (!shape) return 0;
  if (shape->size() != 2 || (*shape)[0] < 1 || (*shape)[0] > kMaxChannels)
    throw Error(folder.string() + ": " + name + " is no matrix [features, hidden_size]");
  return static_cast<std::uint32_t>((*shape)[0]);
}

void load_clip_weights(torch::nn::Module& module, const std::filesystem::path& folder, ClipTower tower) {
  const bool text = tower == ClipTower::text;
  const std::string other = text ? "vision_model." : "text_model.";
  const std::string projection = text ? "visual_projection." : "text_projection.";
  load_weights(module, folder, kClipWeights, [&](const std::string& name) {
    return name.starts_with(other) || name.starts_with(projection) || name == "logit_scale" ||
           name.ends_with(".position_ids");
  });
}

}  // namespace guda::worker
