#pragma once
// How long the texts are that a text-to-image model is told: what cross-attention costs depends on it.
#include "jobs/experiment.hpp"

namespace guda::jobs {

/// Tokens of every text, padding included: what tokenizer and text encoder allow, in a pipeline's folder by their
/// config files. CLIP's 77 where a file does not say or is not there.
[[nodiscard]] double text_tokens(const PipelineConfig& pipeline);

}  // namespace guda::jobs
