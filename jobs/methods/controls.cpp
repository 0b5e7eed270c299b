// Controls: scores without any model, so that every table has its floor and its cheap competitor.
#include <string>

#include "jobs/methods/methods.hpp"
#include "jobs/noise_schedule.hpp"

namespace guda::jobs {

void plan_control(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  AttributeSpec spec;
  spec.method = config.method;
  spec.k = config.method == "knn" ? config.k : 0;
  if (config.method == "random") spec.seed = (SeedPath(run_seed) / "attribute" / std::to_string(config.seed)).value();
  for (std::size_t set = 0; set < builder.experiment().queries.size(); ++set)
    builder.attribute(run_seed, set, config.name, spec);
}

void plan_kde_elbo(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  const Experiment& e = builder.experiment();
  const NoiseSchedule schedule(e.diffusion);
  AttributeSpec spec;
  spec.method = config.method;
  spec.k = 0;
  spec.seed = (SeedPath(run_seed) / "attribute" / "kde_elbo").value();
  for (std::uint32_t t = e.scoring.first_timestep; t <= e.scoring.last_timestep; t += e.scoring.stride) {
    const double gamma = schedule.sqrt_alpha_bar(t);
    spec.timesteps.push_back(t);
    spec.alpha_bars.push_back(gamma * gamma);
    spec.timestep_weights.push_back(schedule.elbo_weight(t));
  }
  // Of a text-to-image model the density is one of what it denoises: latents.
  FeaturesSpec latents;
  if (builder.text_to_image()) latents.weights = builder.autoencoder();
  if (!latents.weights.empty()) {
    latents.kind = "latents";
    spec.item_features = builder.latents(/*base=*/false, /*flip=*/false);
  }
  for (std::size_t set = 0; set < e.queries.size(); ++set) {
    if (!latents.kind.empty()) spec.query_features = builder.query_features(run_seed, set, latents);
    builder.attribute(run_seed, set, config.name, spec, 2);
  }
}

}  // namespace guda::jobs
