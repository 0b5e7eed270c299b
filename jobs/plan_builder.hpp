#pragma once
// What a method's plan() is written with: asks for models, query sets and scores; equal work becomes one job.
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

class PlanBuilder {
 public:
  /// Sets up groups, queries, blocks and slots; throws Error for groups or grids that can't be.
  PlanBuilder(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics);

  [[nodiscard]] const Experiment& experiment() const { return plan_.experiment; }
  [[nodiscard]] std::uint32_t group_count() const { return static_cast<std::uint32_t>(plan_.groups.size()); }

  /// Model trained with random streams `stream` of a run seed; `group` < 0 is the full model, else without that group.
  Digest train(std::uint64_t run_seed, std::uint64_t stream, int group);
  /// The class-conditional model of a run seed (experiment().guide).
  Digest train_guide(std::uint64_t run_seed);
  Digest unlearn(std::uint64_t run_seed, const Digest& from, const MethodConfig& method, int group);
  /// The query set `set` (index into experiment().queries) of a run seed; generated ones come from the full model.
  Digest query_set(std::uint64_t run_seed, std::size_t set);

  /// Scores every query block of a run seed under `weights` on one draw set. `rows` names the data set in results.h5
  /// ("full", "full__<method>" or a method); `group` is ignored for the former two.
  void score(std::uint64_t run_seed, const Digest& weights, const std::string& rows, int group, std::uint32_t draw_set);
  /// What `weights` draw from a few noises that are the same for every model of a run seed: for the report.
  void preview(std::uint64_t run_seed, const Digest& weights, const std::string& model_label);
  /// One Attribute job per query set and run seed.
  void attribute(std::uint64_t run_seed, const MethodConfig& method);

  /// Orders by digest of content; the builder is spent.
  [[nodiscard]] Plan finish() &&;

 private:
  Digest add(Work work, std::string label, std::vector<Digest> inputs, double cost, std::vector<Placement> placements,
             bool reads_dataset);

  Plan plan_;
  const Dataset& dataset_;
  std::unordered_map<Digest, std::size_t> index_;
};

/// Digest of a removal set's items.
[[nodiscard]] Digest removal_digest(const std::vector<std::uint32_t>& items);

}  // namespace guda::jobs
