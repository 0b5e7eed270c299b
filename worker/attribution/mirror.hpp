#pragma once
// Mirror jobs: unlearn a query, see which training items lose (methods.md sections 6-8).
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/spec.hpp"
#include "worker/attribution/kernel_scores.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

struct MirrorScores {
  std::vector<double> scores;             ///< [queries, groups]
  std::vector<double> standard_error;     ///< the same shape: over which items of a group were looked at
  double mean_steps = 0;                  ///< of unlearning, per query
  double mean_loss = 0;                   ///< mucs: of a query in its last batch, each image's at most 1
  std::vector<std::uint32_t> items;       ///< training items that were looked at
  std::optional<TopInstances> instances;  ///< rows: positions in `items`; where keep_instances asks for them
};

/// Of a query, in a job's progress.
inline constexpr std::uint64_t kMirrorParts = 1000;

/// Scores a block of queries named `names`, told their own prompts; training items are told their captions. `fisher`
/// float32 [weights]: abu and choi only, else undefined. `model` is the full model and has its weights back afterwards.
/// Throws Error when a choice leaves no weights to move. With `checkpoints` it goes on behind the queries of the newest
/// of them and leaves more, its end too, to the same bits as in one go. Progress counts kMirrorParts for a query.
[[nodiscard]] MirrorScores mirror_scores(const Denoiser& model, const jobs::MirrorSpec& spec, const Seen& queries,
                                         std::span<const std::string> names, const torch::Tensor& fisher,
                                         const Examples& examples, std::span<const jobs::RemovalSet> groups,
                                         torch::Device device, const std::function<void(const Progress&)>& progress,
                                         JobCheckpoints* checkpoints = nullptr);

/// Where abu and choi move a weight: g / (F + floor); 0 for a weight without either.
[[nodiscard]] torch::Tensor fisher_direction(const torch::Tensor& gradient, const torch::Tensor& diagonal,
                                             double floor);

/// mean over columns of (lu - l0) / (lu + l0 + softening): float64 [items], in (-1, 1).
[[nodiscard]] torch::Tensor mean_skew(const torch::Tensor& before, const torch::Tensor& after, double softening);

/// `count` timesteps, evenly over those with sqrt((1 - A)/A) >= 0.31: the part of the schedule that MUCS looks at.
[[nodiscard]] std::vector<std::uint32_t> skew_timesteps(const jobs::DiffusionConfig& diffusion, std::uint32_t count);

/// The length a > 0 at which loss(a) = (1 + rise) loss(0), for a loss that begins to rise with `slope`; found to 2 % of
/// the rise. Throws Error when the loss never gets there.
[[nodiscard]] double length_for_rise(const std::function<double(double)>& loss, double rise, double slope);

}  // namespace guda::worker
