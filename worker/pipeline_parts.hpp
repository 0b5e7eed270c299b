#pragma once
// The frozen parts of a text-to-image pipeline: made once by Component and Features jobs, read by all others.
#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "jobs/spec.hpp"
#include "worker/diffusion/sampling.hpp"
#include "worker/training/examples.hpp"

namespace guda::worker {

/// What consecutive jobs read again is kept: the last tables and the last autoencoder. Not thread-safe.
class PipelineParts {
 public:
  using FindArtifact = std::function<std::filesystem::path(const Digest&)>;

  /// What Train and Unlearn jobs learn from, resident on `device`. `dataset` must outlive it.
  [[nodiscard]] Examples examples(const jobs::Dataset& dataset, const jobs::Conditioning& conditioning,
                                  const FindArtifact& find, torch::Device device);
  /// What a Sample job draws by.
  [[nodiscard]] TextToImage text_to_image(const jobs::SampleSpec& spec, const FindArtifact& find, torch::Device device);
  /// What a model sees and is told of a block of queries: scaled means of latents, or the images themselves; their
  /// prompts.
  [[nodiscard]] Seen queries(const jobs::Conditioning& conditioning, const QuerySet& set, std::uint32_t first,
                             std::uint32_t count, const FindArtifact& find, torch::Device device,
                             const std::function<void()>& poll);

 private:
  [[nodiscard]] std::shared_ptr<const TextTable> texts(const std::vector<Digest>& jobs, const FindArtifact& find);
  [[nodiscard]] std::shared_ptr<const LatentTable> latents(const std::vector<Digest>& jobs, const FindArtifact& find);
  [[nodiscard]] AutoencoderKL autoencoder(const Digest& job, const FindArtifact& find, torch::Device device);

  std::vector<Digest> texts_of_, latents_of_;
  std::shared_ptr<const TextTable> texts_;
  std::shared_ptr<const LatentTable> latents_;
  Digest autoencoder_of_;
  AutoencoderKL autoencoder_{nullptr};
};

/// Writes what a Component job leaves: the files of unet/ or vae/ of the pipeline's folder; or text_encoder/ and
/// tokenizer/, copied or new. Weights that are no safetensors are left behind; Error where none remain.
void make_component(const jobs::ComponentSpec& spec, const std::filesystem::path& folder);

}  // namespace guda::worker
