#pragma once
// guda-worker eval-model and eval-tokenizer: our models on given tensors and texts, so that anybody can check them
// against diffusers and transformers.
#include <filesystem>

namespace guda::worker {

/// Loads the model in `folder`, runs it on tensors of the safetensors file `input`, writes float32 tensors to `output`
/// and, with a non-empty `save`, the model back into that folder. By the config's _class_name or model_type:
///
/// | model | reads | writes |
/// |---|---|---|
/// | UNet2DModel, or none said | `sample` [N, C, H, W], `timestep` [N] or scalar, `class_labels` | `out` |
/// | UNet2DConditionModel | the same, `encoder_hidden_states` [N, L, width] | `out` |
/// | AutoencoderKL | `sample` [N, C, H, W] and `latents` [N, c, h, w], or one of them | `mean`, `logvar`; `decoded` |
/// | CLIP (its text tower) | `input_ids` [N, L] | `last_hidden_state`, `pooler_output`, `hidden_states` [layers + 1, N,
/// L, hidden], `penultimate` (the last layer but one after the final norm), with a projection `text_embeds` |
///
/// Latents are not scaled. A `lora` (models/lora.hpp) is merged into a UNet2DConditionModel first. Returns the exit
/// code 0; throws Error naming file and tensor.
int eval_model(const std::filesystem::path& folder, const std::filesystem::path& input,
               const std::filesystem::path& output, const std::filesystem::path& save = {},
               const std::filesystem::path& lora = {});

/// Reads a JSON list of texts, writes the list of their token ids, start and end token included, uncut, by the
/// tokenizer in `place` (common/text/clip_tokenizer.hpp). Returns the exit code 0.
int eval_tokenizer(const std::filesystem::path& place, const std::filesystem::path& input,
                   const std::filesystem::path& output);

}  // namespace guda::worker
