#pragma once
// nlohmann hooks of every config struct, generated from the one schema (jobs/experiment_schema.hpp): what the plan,
// the digests and the provenance are made of. Keys equal those of the experiment file; dumps hold every field.
#include "common/json.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

// clang-format off
#define GUDA_CONFIG_STRUCTS(X) \
  X(DatasetConfig) X(GroupsConfig) X(DiffusionConfig) X(OptimizerConfig) X(TrainingConfig) X(GuideConfig) X(SamplerConfig) \
  X(QuerySetConfig) X(ScoringConfig) X(UnlearnConfig) X(MethodConfig) X(WeightingConfig) X(ComparisonConfig) \
  X(ResourcesConfig) X(RetentionConfig) X(Experiment)
// clang-format on

#define GUDA_DECLARE(T)                \
  void to_json(Json& j, const T& c);   \
  void from_json(const Json& j, T& c); \
  /**/
GUDA_CONFIG_STRUCTS(GUDA_DECLARE)
#undef GUDA_DECLARE

}  // namespace guda::jobs
