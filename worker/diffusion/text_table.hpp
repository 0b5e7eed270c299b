#pragma once
// Embeddings of captions and prompts, computed once by Features jobs: no text encoder runs in a training loop.
#include <torch/torch.h>

#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/text/clip_tokenizer.hpp"
#include "worker/models/clip_text.hpp"

namespace guda::worker {

/// Any thread after construction.
class TextTable {
 public:
  /// embeddings [N, L, W], pooled [N, P] (projected where the encoder projects), in the order of the texts.
  TextTable(const std::vector<std::string>& texts, torch::Tensor embeddings, torch::Tensor pooled);

  /// The same with its embeddings (not what is pooled) on a device, where embeddings() then are.
  [[nodiscard]] TextTable on(torch::Device device) const;

  /// [texts, L, W]; Bug for a text that was not embedded.
  [[nodiscard]] torch::Tensor embeddings(std::span<const std::string> texts) const;
  /// [texts, P]
  [[nodiscard]] torch::Tensor pooled(std::span<const std::string> texts) const;

 private:
  [[nodiscard]] torch::Tensor rows_of(std::span<const std::string> texts) const;

  std::unordered_map<std::string, std::int64_t> rows_;
  torch::Tensor embeddings_, pooled_;
};

struct EmbeddedTexts {
  torch::Tensor embeddings, pooled;
};

/// Texts through tokenizer and encoder, padded to the tokenizer's context length, as Stable Diffusion does it.
[[nodiscard]] EmbeddedTexts embed_texts(const text::ClipTokenizer& tokenizer, ClipText& encoder,
                                        std::span<const std::string> texts, torch::Device device);

/// texts.safetensors and texts.json in a folder.
void save_texts(std::span<const std::string> texts, const EmbeddedTexts& embedded, const std::filesystem::path& folder);
/// All texts of some folders; a text that is in several counts once. Throws Error naming a damaged file.
[[nodiscard]] TextTable load_texts(std::span<const std::filesystem::path> folders);

}  // namespace guda::worker
