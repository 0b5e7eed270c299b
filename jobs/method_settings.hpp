#pragma once
// Settings of the methods that answer from features of the full model or from an unlearned query. A struct whose
// values are all the defaults is `empty()`: it is not written, so that runs without such methods keep their digests.
#include <cstdint>
#include <filesystem>
#include <string>

namespace guda::jobs {

struct GradientConfig {              ///< trak, dtrak, das
  std::uint32_t timesteps = 10;      ///< S evenly spaced timesteps that an image's gradient is averaged over
  std::string projection = "sjlt";   ///< sjlt | rademacher | gaussian
  std::uint32_t dimension = 2048;    ///< k
  double rho = 0.1;                  ///< lambda = rho * trace(Phi^T Phi) / k
  std::string aggregate = "sum";     ///< sum | mean | max | topk (mean of the largest)
  std::uint32_t top = 10;            ///< topk only
  bool squared = true;               ///< das: the square of its published form, or signed
  std::uint32_t block = 256;         ///< training items per Features job
  std::uint32_t keep_instances = 0;  ///< training items of largest score that are kept for every query; 0 = none
  bool operator==(const GradientConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == GradientConfig{}; }
};

struct AscentConfig {           ///< abu, choi: ascent on a query's loss, preconditioned by the Fisher diagonal
  std::string weights = "all";  ///< all | attention | cross_attention (its keys and values)
  std::uint32_t steps = 1;
  double rise = 0.3;             ///< the step is as long as raises the query's loss by this share
  double lr = 0;                 ///< > 0: the published rule lr g / (N F) instead of `rise`
  double damping = 1e-3;         ///< added to the Fisher diagonal, in units of its mean
  std::uint32_t draws = 256;     ///< noise draws behind the query's gradient
  std::uint32_t passes = 2;      ///< of the training set behind the Fisher diagonal
  bool flip = false;             ///< mirrored images too: in the Fisher diagonal, and the larger of both losses' change
  std::uint32_t timesteps = 10;  ///< of the training items' losses
  std::uint32_t items = 0;       ///< training items per group that are looked at; 0 = all
  std::uint32_t block = 256;     ///< training items per Fisher job
  std::uint32_t keep_instances = 0;  ///< training items whose loss rises most, kept for every query; 0 = none
  bool operator==(const AscentConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == AscentConfig{}; }
};

struct MucsConfig {
  double forget_weight = 0.2;  ///< lambda in L_retain - lambda L_forget
  double lr = 0;               ///< AdamW; 0 = a tenth of training's
  double weight_decay = 0.01;
  std::uint32_t batch = 100;
  double tolerance = 0.05;  ///< stops once the query's loss is (1 - this) of an untrained model's
  std::uint32_t max_steps = 500;
  std::uint32_t timesteps = 100;     ///< (timestep, noise) pairs of the skew, over the noisier part of the schedule
  double softening = 1e-3;           ///< added to the skew's denominator
  std::uint32_t items = 0;           ///< training items per group that are looked at; 0 = all
  std::uint32_t keep_instances = 0;  ///< training items of largest skew, kept for every query; 0 = none
  bool operator==(const MucsConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == MucsConfig{}; }
};

struct SimilarityConfig {
  std::string features = "pixels";  ///< pixels | clip | npy | latents | captions
  std::string aggregate = "mean";   ///< mean (of cosines) | centroid (cosine to the mean direction) | max
  std::filesystem::path encoder;    ///< clip: folder with config.json and model.safetensors
  bool projected = false;           ///< clip: after the projection
  std::uint32_t block = 256;        ///< clip: training items per Features job
  std::filesystem::path items,
      queries;                       ///< npy: float32 [items or queries, D], in the order of the training set or axis
  std::uint32_t reference = 0;       ///< first so many items of every group only; 0 = all
  std::uint32_t keep_instances = 0;  ///< training items of largest cosine that are kept for every query; 0 = none
  bool operator==(const SimilarityConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == SimilarityConfig{}; }
};

}  // namespace guda::jobs
