#pragma once
// What the full model is asked in place of a forget image's caption: the anchors of GUDA-C (arXiv 2601.22651;
// methods.md 2.4).
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "jobs/experiment.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/training/examples.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {

/// One thread (keeps the distributions of captions it has met).
class Anchors {
 public:
  /// `removed` sorted. Throws Error where the data set has no captions or, for matched_retain, no image of the same
  /// object is left.
  Anchors(const jobs::AnchorConfig& config, const Examples& examples, std::span<const std::uint32_t> removed);

  /// The rows that the full model sees for these forget rows of batch number `step`: the same x_t under another
  /// caption, or a retained version of the image with the same noise under its own. A function of the seed, the step
  /// and the row within the batch.
  [[nodiscard]] StepImages of(const StepImages& forget, const SeedPath& seed, std::uint64_t step,
                              const jobs::NoiseSchedule& schedule);

 private:
  [[nodiscard]] std::string caption_for(std::uint32_t item, std::uint64_t key, std::uint64_t row);
  [[nodiscard]] const std::vector<double>& distribution(std::uint32_t item);
  /// The mean direction of some descriptors' embeddings [P], of length 1.
  [[nodiscard]] torch::Tensor direction(const std::vector<std::string>& descriptors) const;
  [[nodiscard]] StepImages matched(const StepImages& forget, const SeedPath& seed, std::uint64_t step,
                                   const jobs::NoiseSchedule& schedule) const;

  const jobs::AnchorConfig config_;
  const Examples& examples_;
  torch::Tensor prototypes_;                                               ///< [styles, P]
  std::map<std::string, std::vector<double>> distributions_;               ///< by caption
  std::map<std::uint32_t, std::vector<std::uint32_t>> retained_versions_;  ///< of a source picture
};

}  // namespace guda::worker
