// The part of PlanBuilder for methods that answer from features or from unlearned queries.
#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "jobs/plan_builder.hpp"

namespace guda::jobs {
namespace {

/// Whether the features are the model's, which is told texts and looks at latents, not an encoder's.
bool asks_the_model(const FeaturesSpec& spec) { return spec.kind == "gradients" || spec.kind == "fisher"; }

double features_seconds(const PlanBuilder& builder, const FeaturesSpec& spec, double images) {
  if (spec.kind == "clip") return 0.05 * images;
  if (spec.kind == "latents") return 1e-3 * images;
  const double passes = spec.normalised ? 2 : 1;  // norms first
  return passes * builder.training_cost(images * spec.timesteps);
}

std::string what(const FeaturesSpec& spec) {
  return spec.kind == "gradients" ? "gradients of " + spec.loss : spec.kind;
}

}  // namespace

PlanBuilder::SetBlocks PlanBuilder::blocks_of(std::uint64_t run_seed, std::size_t set) const {
  SetBlocks found;
  for (std::uint32_t b = 0; b < plan_.blocks.size(); ++b) {
    const Query& query = plan_.queries[plan_.blocks[b].first];
    if (query.set != plan_.experiment.queries.at(set).name || query.seed != run_seed) continue;
    if (found.blocks.empty()) found.begin = plan_.blocks[b].first;
    found.blocks.push_back(b);
  }
  return found;
}

std::vector<Digest> PlanBuilder::item_features(std::uint64_t run_seed, FeaturesSpec spec, std::uint32_t block) {
  const auto items = static_cast<std::uint32_t>(dataset_.train.size());
  std::vector<Digest> inputs, jobs;
  if (!spec.weights.empty()) inputs.push_back(spec.weights);
  if (asks_the_model(spec)) spec.conditioning = training_conditioning(/*base=*/false, spec.flip);
  append(inputs, inputs_of(spec.conditioning));
  for (std::uint32_t first = 0; first < items; first += block) {
    spec.first = first;
    spec.count = std::min(block, items - first);
    jobs.push_back(add(spec,
                       fmt::format("{} of items {}-{} (seed {})", what(spec), first, first + spec.count - 1, run_seed),
                       inputs, features_seconds(*this, spec, spec.count), {}, true));
  }
  return jobs;
}

std::vector<Digest> PlanBuilder::query_features(std::uint64_t run_seed, std::size_t set, FeaturesSpec spec,
                                                const Digest& drawn) {
  const SetBlocks blocks = blocks_of(run_seed, set);
  spec.queries = drawn.empty() ? query_set(run_seed, set) : drawn;
  const std::string again = drawn.empty() ? "" : fmt::format(" drawn again by {:.8}", drawn.hex);
  std::vector<Digest> inputs{spec.queries}, jobs;
  if (!spec.weights.empty()) inputs.push_back(spec.weights);
  if (asks_the_model(spec)) spec.conditioning = query_conditioning(run_seed, set);
  append(inputs, inputs_of(spec.conditioning));
  for (const std::uint32_t b : blocks.blocks) {
    spec.first = plan_.blocks[b].first - blocks.begin;
    spec.count = plan_.blocks[b].count;
    jobs.push_back(add(spec,
                       fmt::format("{} of {} {}-{}{} (seed {})", what(spec), plan_.experiment.queries[set].name,
                                   spec.first, spec.first + spec.count - 1, again, run_seed),
                       inputs, features_seconds(*this, spec, spec.count), {}, false));
  }
  return jobs;
}

void PlanBuilder::attribute(std::uint64_t run_seed, std::size_t set, const std::string& name, AttributeSpec spec,
                            double cost) {
  const SetBlocks blocks = blocks_of(run_seed, set);
  spec.queries = query_set(run_seed, set);
  spec.groups = plan_.group_removals;
  // One row table for the whole set; its later blocks are placed relative to the first.
  std::vector<Placement> placements;
  for (const std::uint32_t b : blocks.blocks)
    placements.push_back({name, 0, plan_.blocks[b].first, b, plan_.blocks[b].first - blocks.begin});
  std::vector<Digest> inputs{spec.queries};
  append(inputs, spec.item_features);
  append(inputs, spec.query_features);
  attributions_[{run_seed, set, name}] = add(
      std::move(spec), fmt::format("attribute {} on {} (seed {})", name, plan_.experiment.queries[set].name, run_seed),
      inputs, cost, std::move(placements), true);
}

const Digest& PlanBuilder::attribution(std::uint64_t run_seed, std::size_t set, const std::string& name) const {
  const auto found = attributions_.find({run_seed, set, name});
  if (found == attributions_.end()) throw Bug("no job was planned that attributes by " + name);
  return found->second;
}

void PlanBuilder::mirror(std::uint64_t run_seed, const std::string& name, const MirrorSpec& spec,
                         double cost_per_query) {
  for (std::size_t set = 0; set < plan_.experiment.queries.size(); ++set) {
    const SetBlocks blocks = blocks_of(run_seed, set);
    for (const std::uint32_t b : blocks.blocks) {
      const QueryBlock block = plan_.blocks[b];
      MirrorSpec job = spec;
      job.queries = query_set(run_seed, set);
      job.first = block.first - blocks.begin;
      job.count = block.count;
      job.groups = plan_.group_removals;
      std::vector<Digest> inputs{job.weights, job.queries};
      append(inputs, job.fisher);
      if (text_to_image()) {
        job.conditioning = training_conditioning(/*base=*/false, job.ascent.flip);
        const Conditioning asked = query_conditioning(run_seed, set);
        job.conditioning.autoencoder = asked.autoencoder;
        append(job.conditioning.texts, asked.texts);
        append(inputs, inputs_of(job.conditioning));
      }
      std::string label = fmt::format("mirror {} on {} {}-{} (seed {})", name, plan_.experiment.queries[set].name,
                                      job.first, job.first + job.count - 1, run_seed);
      const Digest digest = add(std::move(job), std::move(label), inputs, cost_per_query * block.count,
                                {{name, 0, block.first, b, 0}}, true);
      attributions_.try_emplace({run_seed, set, name}, digest);
    }
  }
}

}  // namespace guda::jobs
