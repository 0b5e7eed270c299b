#pragma once
// A small plan over the shipped digits: what store, coordinator and report tests run on.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "jobs/dataset.hpp"
#include "jobs/planner.hpp"

namespace guda::test {

/// Three methods (logo, one operator, random), ten groups, `queries` held-out queries, three timesteps.
inline jobs::Experiment small_experiment(std::uint32_t queries = 4) {
  jobs::Experiment e;
  e.name = "small";
  e.model = Json::parse(
      R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 8], "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"], "norm_num_groups": 4,
    "add_attention": false})");
  e.training.steps = 2;
  e.training.batch = 4;
  e.training.warmup_steps = 1;
  e.queries = {jobs::QuerySetConfig{.name = "real", .kind = "held_out", .count = queries}};
  e.scoring.first_timestep = 100;
  e.scoring.last_timestep = 900;
  e.scoring.stride = 400;
  e.scoring.block = 3;
  jobs::MethodConfig logo, guda, random;
  logo.name = logo.method = "logo";
  guda.name = "exact";
  guda.method = "guda";
  guda.unlearn.steps = 1;
  guda.unlearn.warmup_steps = 0;
  random.name = random.method = "random";
  e.methods = {logo, guda, random};
  return e;
}

/// The first job whose label begins so.
inline const jobs::JobSpec& labelled(const jobs::Plan& plan, const std::string& label) {
  const auto at = std::find_if(plan.jobs.begin(), plan.jobs.end(),
                               [&](const jobs::JobSpec& job) { return job.label.starts_with(label); });
  if (at == plan.jobs.end()) throw std::runtime_error("the plan has no job '" + label + "'");
  return *at;
}

inline jobs::Plan small_plan(std::uint32_t queries = 4) {
  const jobs::Experiment e = small_experiment(queries);
  return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
}

}  // namespace guda::test
