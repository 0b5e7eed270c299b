#include "jobs/clip_folder.hpp"

#include "common/error.hpp"

namespace guda::jobs {

FeaturesSpec clip_features(const PlanBuilder& builder, const std::filesystem::path& folder, bool projected,
                           const std::string& key) {
  if (folder.empty()) throw Error(key + ": name the CLIP model's folder");
  const auto config = folder / "config.json", weights = folder / "model.safetensors";
  const bool there = std::filesystem::exists(config) && std::filesystem::exists(weights);
  if (!there && !builder.weights_may_be_missing())
    throw Error(key + ": no config.json and model.safetensors in " + folder.string() + "; --set " + key +
                "=FOLDER names a CLIP model as transformers saves it");
  FeaturesSpec features;
  features.kind = "clip";
  features.encoder = folder;
  features.projected = projected;
  if (there) features.encoder_content = digest_of(digest_of_file(config).hex + digest_of_file(weights).hex).hex;
  return features;
}

}  // namespace guda::jobs
