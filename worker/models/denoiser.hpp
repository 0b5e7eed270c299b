#pragma once
// The model that is trained, unlearned, sampled from and scored: a UNet2DModel, or a UNet2DConditionModel that is told
// a text or a class.
#include <filesystem>
#include <variant>

#include "common/json.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/models/unet2d_condition.hpp"

namespace guda::worker {

/// What a model is told beside x_t and t; undefined: nothing.
struct Condition {
  torch::Tensor context;  ///< [N, L, W] text embeddings
  torch::Tensor classes;  ///< as UNet2DCondition's class_labels
};

/// A handle, as torch's module holders are: copies are the same model.
class Denoiser {
 public:
  Denoiser() = default;
  Denoiser(UNet2D model) : model_(std::move(model)) {}           // NOLINT(google-explicit-constructor)
  Denoiser(UNet2DCondition model) : model_(std::move(model)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool is_empty() const;
  /// The model's output for x_t [N, C, H, W] float32 and timesteps [N]. Error where the model is told too much or not
  /// enough.
  [[nodiscard]] torch::Tensor operator()(const torch::Tensor& x_t, const torch::Tensor& timesteps,
                                         const Condition& condition = {}) const;
  [[nodiscard]] torch::nn::Module& module() const;
  torch::nn::Module* operator->() const { return &module(); }
  /// Bug when it is the other kind.
  [[nodiscard]] const UNet2D& unet2d() const;
  [[nodiscard]] const UNet2DCondition& unet2d_condition() const;

 private:
  std::variant<UNet2D, UNet2DCondition> model_{UNet2D{nullptr}};
};

/// The kind that the config's `_class_name` says; as make_unet2d, load_unet2d and save_unet2d.
[[nodiscard]] Denoiser make_denoiser(const Json& config, std::uint64_t init_seed);
/// Its weights are not set yet.
[[nodiscard]] Denoiser unset_denoiser(const Json& config);
[[nodiscard]] Denoiser load_denoiser(const std::filesystem::path& folder);
void save_denoiser(const Denoiser& model, const Json& config, const std::filesystem::path& folder);

}  // namespace guda::worker
