#pragma once
// A CLIP model's folder (config.json, model.safetensors) as what Features jobs are planned from.
#include <filesystem>
#include <string>

#include "jobs/plan_builder.hpp"

namespace guda::jobs {

/// Features of its vision tower. Throws Error, naming the experiment's `key`, when the folder is empty or holds no
/// model and the plan is no mere estimate.
[[nodiscard]] FeaturesSpec clip_features(const PlanBuilder& builder, const std::filesystem::path& folder,
                                         bool projected, const std::string& key);

}  // namespace guda::jobs
