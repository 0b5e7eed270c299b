// TRAK (arXiv 2303.14186), D-TRAK (2311.00500) and DAS (2410.18639): projected gradients of the full model for every
// training image and query (methods.md section 5), then one solve per query set.
#include "jobs/methods/methods.hpp"

namespace guda::jobs {

void plan_gradients(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  const Experiment& e = builder.experiment();
  const GradientConfig& g = config.gradients;
  FeaturesSpec features;
  features.kind = "gradients";
  features.weights = builder.train(run_seed, 0, -1);
  features.diffusion = e.diffusion;
  features.loss = config.method == "trak" ? "error" : config.method == "dtrak" ? "squared_output" : "mean_output";
  features.normalised = config.method == "das";
  features.timesteps = g.timesteps;
  features.projection = g.projection;
  features.dimension = g.dimension;
  features.seed = (SeedPath(run_seed) / "gradients").value();

  AttributeSpec attribute;
  attribute.method = config.method;
  attribute.k = 0;
  attribute.gradients = g;
  attribute.item_features = builder.item_features(run_seed, features, g.block);
  const double k = g.dimension, n = double(builder.dataset().train.size());
  const double seconds = (k * k * n + k * k * k / 3) / 1e10;
  for (std::size_t set = 0; set < e.queries.size(); ++set) {
    attribute.query_features = builder.query_features(run_seed, set, features);
    builder.attribute(run_seed, set, config.name, attribute, 0.2 + seconds);
  }
}

}  // namespace guda::jobs
