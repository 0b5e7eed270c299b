#pragma once
// guda-worker eval-model and eval-tokenizer: our models on given tensors and texts, so that anybody can check them
// against diffusers and transformers.
#include <filesystem>

namespace guda::worker {

/// Loads the UNet2DModel in `folder`, reads `sample` [N, C, H, W], `timestep` [N] or scalar and, for a model with class
/// embedding, `class_labels` from the safetensors file `input`, and writes `out` float32 to `output`. With a non-empty
/// `save`, also writes the model back into that folder. Of a CLIP model in transformers' layout (model_type in its
/// config.json), the text tower: reads `input_ids` [N, L], writes `last_hidden_state`, `pooler_output`, `hidden_states`
/// [layers + 1, N, L, hidden], `penultimate` (the last layer but one after the final norm) and, with a projection,
/// `text_embeds`. Returns the exit code 0; throws Error naming file and tensor.
int eval_model(const std::filesystem::path& folder, const std::filesystem::path& input,
               const std::filesystem::path& output, const std::filesystem::path& save = {});

/// Reads a JSON list of texts, writes the list of their token ids, start and end token included, uncut, by the
/// tokenizer in `place` (common/text/clip_tokenizer.hpp). Returns the exit code 0.
int eval_tokenizer(const std::filesystem::path& place, const std::filesystem::path& input,
                   const std::filesystem::path& output);

}  // namespace guda::worker
