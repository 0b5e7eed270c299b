// Semantic similarity (CLIPA in arXiv 2601.22651; methods.md section 4): cosines between the features of a query and
// those of a group's images. Features are pixels, a CLIP vision tower's, given arrays, or a text-to-image model's own:
// latents, or what captions and prompts are embedded as.
#include "common/error.hpp"
#include "jobs/clip_folder.hpp"
#include "jobs/methods/methods.hpp"

namespace guda::jobs {

std::string compared_features(const SimilarityConfig& config) {
  if (config.features == "clip")
    return config.projected ? "CLIP image features" : "pooled outputs of a CLIP vision tower";
  if (config.features == "latents") return "latents";
  if (config.features == "captions") return "the embedded captions of images and prompts of queries";
  if (config.features == "npy") return "embeddings from " + config.items.filename().string();
  return "pixels";
}

void plan_similarity(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  const Experiment& e = builder.experiment();
  const SimilarityConfig& s = config.similarity;
  AttributeSpec attribute;
  attribute.method = config.method;
  attribute.k = 0;
  attribute.similarity = s;
  FeaturesSpec features;
  if (s.features == "clip") {
    features = clip_features(builder, s.encoder, s.projected, "methods." + config.name + ".similarity.encoder");
    attribute.item_features = builder.item_features(run_seed, features, s.block);
  } else if (s.features == "latents") {
    features.kind = "latents";
    features.weights = builder.autoencoder();
    attribute.item_features = builder.latents(/*base=*/false, /*flip=*/false);
  } else if (s.features == "captions") {
    attribute.item_features = builder.captions(/*base=*/false);
  } else if (s.features == "npy") {
    if (s.items.empty() || s.queries.empty())
      throw Error("methods." + config.name + ".similarity: features: npy wants both `items` and `queries`");
    attribute.embedding = digest_of(digest_of_file(s.items).hex + digest_of_file(s.queries).hex).hex;
  }
  for (std::size_t set = 0; set < e.queries.size(); ++set) {
    if (!features.kind.empty()) attribute.query_features = builder.query_features(run_seed, set, features);
    if (s.features == "captions") attribute.query_features = builder.prompts(run_seed, set);
    builder.attribute(run_seed, set, config.name, attribute);
  }
}

}  // namespace guda::jobs
