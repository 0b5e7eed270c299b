#include "worker/models/denoiser.hpp"

#include "common/error.hpp"
#include "jobs/unet_config.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {

bool Denoiser::is_empty() const {
  return std::visit([](const auto& model) { return model.is_empty(); }, model_);
}

torch::Tensor Denoiser::operator()(const torch::Tensor& x_t, const torch::Tensor& timesteps,
                                   const Condition& condition) const {
  if (const auto* plain = std::get_if<UNet2D>(&model_)) {
    if (condition.context.defined()) throw Error("a UNet2DModel is told no text");
    return plain->ptr()->forward(x_t, timesteps, condition.classes);
  }
  return std::get<UNet2DCondition>(model_).ptr()->forward(x_t, timesteps, condition.context, condition.classes);
}

torch::nn::Module& Denoiser::module() const {
  return *std::visit([](const auto& model) -> torch::nn::Module* { return model.ptr().get(); }, model_);
}

const UNet2D& Denoiser::unet2d() const {
  const auto* model = std::get_if<UNet2D>(&model_);
  if (model == nullptr) throw Bug("a UNet2DModel was expected");
  return *model;
}

const UNet2DCondition& Denoiser::unet2d_condition() const {
  const auto* model = std::get_if<UNet2DCondition>(&model_);
  if (model == nullptr) throw Bug("a UNet2DConditionModel was expected");
  return *model;
}

Denoiser make_denoiser(const Json& config, std::uint64_t init_seed) {
  if (jobs::is_condition_model(config)) return make_unet2d_condition(config, init_seed);
  return make_unet2d(config, init_seed);
}

Denoiser unset_denoiser(const Json& config) {
  if (jobs::is_condition_model(config)) return unset_unet2d_condition(config);
  return unset_unet2d(config);
}

Denoiser load_denoiser(const std::filesystem::path& folder) {
  if (jobs::is_condition_model(read_model_config(folder))) return load_unet2d_condition(folder);
  return load_unet2d(folder);
}

void save_denoiser(const Denoiser& model, const Json& config, const std::filesystem::path& folder) {
  if (jobs::is_condition_model(config)) {
    UNet2DCondition condition = model.unet2d_condition();
    return save_unet2d_condition(condition, config, folder);
  }
  UNet2D plain = model.unet2d();
  save_unet2d(plain, config, folder);
}

}  // namespace guda::worker
