#pragma once
// Small runs with known answers for tests of what is made from results: plan and losses from a seed, no training.
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "orchestrator/results_file.hpp"

namespace guda::test {

struct SyntheticSize {
  std::uint32_t groups = 10, queries = 60, timesteps = 20, draws = 1, block = 16;
  std::vector<std::uint64_t> seeds{0};
  std::vector<std::string> sets{"generated"};
};

/// Methods are pairs (name, method); LOGOs whose name is not "logo" get seed 1.
inline jobs::Plan synthetic_plan(const SyntheticSize& size,
                                 const std::vector<std::pair<std::string, std::string>>& methods,
                                 const std::string& second_reference = "") {
  jobs::Plan plan;
  plan.experiment.scoring.draws = size.draws;
  plan.experiment.diffusion.timesteps = 1000;
  plan.experiment.comparison.reference = "logo";
  plan.experiment.comparison.second_reference = second_reference;
  plan.experiment.comparison.bootstrap = 200;
  for (const auto& [name, method] : methods) {
    jobs::MethodConfig config;
    config.name = name;
    config.method = method;
    config.seed = method == "logo" && name != "logo" ? 1 : 0;
    plan.experiment.methods.push_back(config);
  }
  for (std::uint32_t k = 0; k < size.groups; ++k) plan.groups.push_back(std::to_string(k));
  for (const std::string& set : size.sets) {
    for (const std::uint64_t seed : size.seeds) {
      for (std::uint32_t q = 0; q < size.queries; ++q) {
        plan.queries.push_back({.name = set + "/s" + std::to_string(seed) + "/" + std::to_string(q),
                                .set = set,
                                .seed = seed,
                                .true_group = set == "real" ? std::to_string(q % size.groups) : ""});
      }
    }
  }
  const auto total = static_cast<std::uint32_t>(plan.queries.size());
  for (std::uint32_t first = 0; first < total; first += size.block) {
    plan.blocks.push_back({first, std::min(size.block, total - first)});
  }
  for (std::uint32_t draw = 0; draw < 2 * size.draws; ++draw) {
    for (std::uint32_t i = 0; i < size.timesteps; ++i) {
      const std::uint32_t t = (2 * i + 1) * 1000 / (2 * size.timesteps);
      plan.slots.push_back({.timestep = t, .draw = draw, .weight = 1.0 / (size.draws * size.timesteps)});
    }
  }
  return plan;
}

/// Every array there, everything pending and NaN.
inline orchestrator::ResultsTable empty_table(const jobs::Plan& plan) {
  orchestrator::ResultsTable table;
  table.shape = orchestrator::ResultsShape::of(plan);
  const std::size_t groups = table.groups(), queries = table.queries(), slots = table.slots();
  const std::size_t blocks = plan.blocks.size();
  for (const auto& name : table.shape.fulls) {
    table.losses[name].assign(queries * slots, std::numeric_limits<float>::quiet_NaN());
    table.status[name].assign(blocks, 0);
  }
  for (const auto& name : table.shape.loss_methods) {
    table.losses[name].assign(groups * queries * slots, std::numeric_limits<float>::quiet_NaN());
  }
  for (const auto& name : table.shape.methods) {
    table.scores[name].assign(queries * groups, std::numeric_limits<double>::quiet_NaN());
    table.score_errors[name].assign(queries * groups, std::numeric_limits<double>::quiet_NaN());
    table.status[name].assign(groups * blocks, 0);
  }
  return table;
}

/// influence(q, k, slot) -> loss difference.
using Influence = std::function<double(std::size_t, std::size_t, std::size_t)>;

/// Losses of all full models are 3 + slot/64, exact in float32.
inline void fill_fulls(orchestrator::ResultsTable& table) {
  for (const auto& name : table.shape.fulls) {
    for (std::size_t i = 0; i < table.losses[name].size(); ++i) {
      table.losses[name][i] = 3.0F + static_cast<float>(i % table.slots()) / 64;
    }
  }
}

inline void fill_losses(orchestrator::ResultsTable& table, const std::string& method, const Influence& influence) {
  auto& losses = table.losses.at(method);
  const std::size_t queries = table.queries(), slots = table.slots();
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::size_t s = i % slots, q = i / slots % queries, k = i / slots / queries;
    losses[i] = static_cast<float>(3.0 + static_cast<double>(s) / 64 + influence(q, k, s));
  }
}

/// A standard normal number that depends on its name only.
inline double noise(std::uint64_t stream, std::size_t a, std::size_t b, std::size_t c = 0) {
  std::seed_seq seq{stream, std::uint64_t{a}, std::uint64_t{b}, std::uint64_t{c}};
  std::minstd_rand engine(seq);
  engine.discard(3);
  return std::normal_distribution<double>()(engine);
}

}  // namespace guda::test
