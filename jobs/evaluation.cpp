#include "jobs/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/clip_folder.hpp"

namespace guda::jobs {
namespace {

void plan_subsets(PlanBuilder& builder, std::uint64_t run_seed) {
  const auto removed = removed_groups(builder.experiment().evaluation.subsets, builder.group_count());
  for (std::size_t m = 0; m < removed.size(); ++m) {
    const Digest weights = builder.train_without(run_seed, builder.union_of_groups(removed[m]));
    builder.score(run_seed, weights, subset_rows(m), -1, kOracleDraws);
  }
}

/// As many items as a method can remove at most, drawn at random: what removals are held against.
RemovalSet random_items(const Dataset& dataset, std::size_t count, std::uint64_t seed) {
  RemovalSet removal{fmt::format("{} random items", count), {}};
  const auto order = random_permutation(static_cast<std::uint32_t>(dataset.train.size()), seed);
  for (std::size_t i = 0; i < count; ++i) removal.items.push_back(dataset.train[order[i]]);
  std::sort(removal.items.begin(), removal.items.end());
  return removal;
}

void plan_removal(PlanBuilder& builder, std::uint64_t run_seed) {
  const Experiment& e = builder.experiment();
  const RemovalConfig& removal = e.evaluation.removal;
  const std::size_t set = removal_set_index(e), most = std::size_t{removal.items} * removal.queries;
  if (most >= builder.dataset().train.size())
    throw Error(
        fmt::format("evaluation.removal.items: {} for each of {} queries may be all {} training items; lower it",
                    removal.items, removal.queries, builder.dataset().train.size()));
  std::optional<FeaturesSpec> features;
  if (!removal.encoder.empty()) {
    features = clip_features(builder, removal.encoder, false, "evaluation.removal.encoder");
    builder.query_features(run_seed, set, *features);
  }
  const auto draw_again = [&](const Digest& weights, const std::string& without) {
    const Digest drawn = builder.regenerate(run_seed, set, weights, without);
    if (features) builder.query_features(run_seed, set, *features, drawn);
  };
  for (const MethodConfig& method : e.methods) {
    if (method.kept_instances() == 0) continue;
    draw_again(builder.train_without_top(run_seed, builder.attribution(run_seed, set, method.name), method.name),
               method.name);
  }
  const std::uint64_t seed = (SeedPath(run_seed) / "evaluation" / "removal").value();
  draw_again(builder.train_without(run_seed, random_items(builder.dataset(), most, seed)), "random items");
}

}  // namespace

std::vector<std::vector<std::uint32_t>> removed_groups(const SubsetsConfig& config, std::uint32_t groups) {
  std::vector<std::vector<std::uint32_t>> all;
  if (groups < 2) return all;
  const auto size = static_cast<std::uint32_t>(std::clamp<long>(std::lround(config.share * groups), 1, groups - 1));
  for (std::uint32_t m = 0; m < config.count; ++m) {
    auto order = random_permutation(groups, (SeedPath(config.seed) / "subsets" / std::to_string(m)).value());
    order.resize(size);
    std::sort(order.begin(), order.end());
    all.push_back(std::move(order));
  }
  return all;
}

std::string subset_rows(std::size_t subset) { return fmt::format("subset__{:03}", subset); }

bool is_subset_rows(const std::string& rows) { return rows.starts_with("subset__"); }

std::size_t removal_set_index(const Experiment& experiment) {
  for (std::size_t set = 0; set < experiment.queries.size(); ++set) {
    if (experiment.queries[set].kind == "generated") return set;
  }
  throw Bug("a removal was planned without a generated query set");
}

void plan_evaluation(PlanBuilder& builder, std::uint64_t run_seed) {
  const EvaluationConfig& evaluation = builder.experiment().evaluation;
  if (evaluation.subsets.count > 0) plan_subsets(builder, run_seed);
  if (evaluation.removal.items > 0) plan_removal(builder, run_seed);
}

}  // namespace guda::jobs
