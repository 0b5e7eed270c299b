#pragma once
// What mirrored methods look at: losses of training items under fixed noise, and the groups' share of their change.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/spec.hpp"
#include "worker/models/denoiser.hpp"

namespace guda::worker {

/// The training items that stand for the groups: all, or `per_group` of each drawn from `seed`.
struct GroupSample {
  std::vector<std::uint32_t> items;                ///< distinct, sorted
  std::vector<std::vector<std::int64_t>> members;  ///< per group: positions in `items`
  std::vector<std::size_t> sizes;                  ///< of the whole groups
};
[[nodiscard]] GroupSample sample_groups(std::span<const jobs::RemovalSet> groups, std::uint32_t per_group,
                                        std::uint64_t seed);

/// Means over each group's members, and their standard errors over the drawing of members (0 where all were taken).
struct GroupMeans {
  std::vector<double> mean, standard_error;
};
[[nodiscard]] GroupMeans group_means(const torch::Tensor& values, const GroupSample& sample);

/// Mean squared errors of noise prediction at fixed (timestep, noise) pairs: the same for every call, whatever the
/// weights and the size of the batch.
class ItemLosses {
 public:
  /// Embeddings [rows, L, W] of what the model is told of some items, by position; for a batch at a time.
  using Contexts = std::function<torch::Tensor(std::span<const std::int64_t>)>;

  /// `shared`: one noise per timestep for all items; otherwise one per item and timestep.
  ItemLosses(torch::Tensor images, std::vector<std::uint64_t> ids, std::vector<std::uint32_t> timesteps, bool shared,
             const jobs::DiffusionConfig& diffusion, std::uint64_t seed, torch::Device device, Contexts contexts = {});
  /// float64 [items, timesteps].
  [[nodiscard]] torch::Tensor of(const Denoiser& model, const std::function<void()>& poll = {}) const;

 private:
  torch::Tensor images_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::uint32_t> timesteps_;
  bool shared_;
  jobs::DiffusionConfig diffusion_;
  std::uint64_t seed_;
  torch::Device device_;
  Contexts contexts_;
};

}  // namespace guda::worker
