// Mirrored methods unlearn the query and look at what training images lose: AbU (Wang et al. 2024, arXiv 2406.09408)
// and Choi et al. 2025 by one step along the Fisher-preconditioned gradient, MUCS (arXiv 2605.17938) by clamped ascent.
#include <algorithm>
#include <vector>

#include "jobs/methods/methods.hpp"

namespace guda::jobs {
namespace {

double items_seen(const PlanBuilder& builder, std::uint32_t per_group) {
  const auto all = double(builder.dataset().train.size());
  return per_group == 0 ? all : std::min(all, double(per_group) * builder.group_count());
}

}  // namespace

void plan_ascent(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  const Experiment& e = builder.experiment();
  const AscentConfig& a = config.ascent;
  FeaturesSpec fisher;
  fisher.kind = "fisher";
  fisher.weights = builder.train(run_seed, 0, -1);
  fisher.diffusion = e.diffusion;
  fisher.timesteps = a.passes;
  fisher.flip = a.flip;
  fisher.seed = (SeedPath(run_seed) / "fisher").value();

  MirrorSpec mirror;
  mirror.method = config.method;
  mirror.weights = fisher.weights;
  mirror.diffusion = e.diffusion;
  mirror.fisher = builder.item_features(run_seed, fisher, a.block);
  mirror.ascent = a;
  mirror.seed = (SeedPath(run_seed) / "mirror").value();
  const double losses = items_seen(builder, a.items) * a.timesteps * (a.flip ? 2 : 1);
  builder.mirror(run_seed, config.name, mirror,
                 builder.training_cost(double(a.steps) * a.draws) + builder.forward_cost(losses));
}

void plan_mucs(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  const Experiment& e = builder.experiment();
  MirrorSpec mirror;
  mirror.method = config.method;
  mirror.weights = builder.train(run_seed, 0, -1);
  mirror.diffusion = e.diffusion;
  mirror.mucs = config.mucs;
  if (mirror.mucs.lr == 0) mirror.mucs.lr = e.training.optimizer.lr / 10;
  mirror.seed = (SeedPath(run_seed) / "mirror").value();
  const MucsConfig& m = mirror.mucs;
  const double unlearning = 0.3 * m.max_steps * 2 * m.batch;
  builder.mirror(run_seed, config.name, mirror,
                 builder.training_cost(unlearning) + builder.forward_cost(items_seen(builder, m.items) * m.timesteps));
}

}  // namespace guda::jobs
