#pragma once
// A study small enough for a test: 120 digits, a U-Net of a few thousand weights, a schedule of 100 timesteps.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/dataset.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/spec.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"

namespace guda::test {

inline Json tiny_model() {
  return {{"sample_size", 8},
          {"in_channels", 1},
          {"out_channels", 1},
          {"block_out_channels", {8, 8}},
          {"layers_per_block", 1},
          {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
          {"up_block_types", {"UpBlock2D", "UpBlock2D"}},
          {"norm_num_groups", 4},
          {"add_attention", false}};
}

inline jobs::DiffusionConfig tiny_diffusion() {
  jobs::DiffusionConfig config;
  config.timesteps = 100;
  return config;
}

inline jobs::Dataset tiny_dataset() {
  jobs::DatasetConfig config;
  config.train = 120;
  jobs::Dataset data = jobs::load_dataset(config);
  data.held_out.resize(20);
  return data;
}

inline jobs::MirrorSpec tiny_mirror(const std::string& method, std::uint32_t mucs_steps) {
  jobs::MirrorSpec spec;
  spec.method = method;
  spec.diffusion = tiny_diffusion();
  spec.seed = 5;
  spec.ascent.timesteps = 5;
  spec.ascent.draws = 64;
  spec.mucs.lr = 4e-3;
  spec.mucs.batch = 16;
  spec.mucs.max_steps = mucs_steps;
  spec.mucs.timesteps = 5;
  return spec;
}

/// The training items of a class, sorted.
inline std::vector<std::uint32_t> items_of(const jobs::Dataset& data, std::uint32_t label) {
  std::vector<std::uint32_t> items;
  for (const std::uint32_t item : data.train) {
    if (data.labels[item] == label) items.push_back(item);
  }
  std::sort(items.begin(), items.end());
  return items;
}

inline jobs::TrainSpec tiny_training(std::uint32_t steps = 12) {
  jobs::TrainSpec spec;
  spec.model = tiny_model();
  spec.diffusion = tiny_diffusion();
  spec.training.steps = steps;
  spec.training.batch = 16;
  spec.training.warmup_steps = 2;
  return spec;
}

/// A class-conditional model of the ten digits, not trained.
inline Json tiny_guide_model() {
  jobs::Experiment experiment;
  experiment.model = tiny_model();
  experiment.model["add_attention"] = true;
  experiment.guide.block_out_channels = {8, 8};
  return jobs::guide_model(experiment, 10);
}
inline worker::UNet2DCondition tiny_guide() {
  worker::UNet2DCondition guide = worker::make_unet2d_condition(tiny_guide_model(), 11);
  guide->eval();
  return guide;
}

inline void no_progress(const worker::Progress&) {}

/// Whether two models have bitwise equal parameters.
inline bool same_weights(const worker::Denoiser& a, const worker::Denoiser& b) {
  const auto left = a->parameters(), right = b->parameters();
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (!torch::equal(left[i], right[i])) return false;
  }
  return true;
}

}  // namespace guda::test
