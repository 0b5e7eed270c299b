#pragma once
// The class-conditional model that esd_class guides with: GUDA's is its unconditional model with other widths, a class
// as a one-hot vector through two layers added to the time embedding, and no text (methods.md 3.1).
#include <cstdint>

#include "common/json.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

/// config.json of the UNet2DConditionModel: the keys that both kinds of model have from `experiment.model`, widths from
/// `experiment.guide`; its class vector is one longer than `classes`, the last entry is "no class".
[[nodiscard]] Json guide_model(const Experiment& experiment, std::uint32_t classes);

/// Whether a model's config is that of a guide: conditioned on a class, not on a text.
[[nodiscard]] bool is_guide_model(const Json& model);

}  // namespace guda::jobs
