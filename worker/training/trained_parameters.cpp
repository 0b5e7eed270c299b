#include "worker/training/trained_parameters.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/error.hpp"

namespace guda::worker {

bool is_trained(const jobs::ParametersConfig& config, const std::string& parameter) {
  constexpr std::array<std::string_view, 4> kProjections{".to_q.", ".to_k.", ".to_v.", ".to_out."};
  if (config.kind == "lora") return false;
  return config.empty() || std::any_of(kProjections.begin(), kProjections.end(), [&](std::string_view projection) {
           return parameter.find(projection) != std::string::npos;
         });
}

TrainedParameters::TrainedParameters(torch::nn::Module& model, const jobs::ParametersConfig& config,
                                     const SeedPath& seed, bool bfloat16)
    : model_(model), all_(config.empty()) {
  const auto train = [&](std::string name, const torch::Tensor& tensor) {
    names_.push_back(std::move(name));
    computed_.push_back(tensor);
  };
  for (auto& parameter : model.named_parameters()) {
    if (is_trained(config, parameter.key())) {
      train("model." + parameter.key(), parameter.value());
    } else {
      frozen_.push_back(parameter.value());
    }
  }
  if (config.kind == "lora") {
    const double alpha = config.alpha > 0 ? config.alpha : config.rank;
    lora_ = attach_lora(model, config.rank, alpha / config.rank, seed / "lora");
    for (const auto& [module, pair] : *lora_) {
      train("lora." + module + ".down", pair.down);
      train("lora." + module + ".up", pair.up);
    }
  }
  if (computed_.empty()) throw Error("parameters: the model has no attention to train");
  masters_ = computed_;
  if (bfloat16) {
    std::vector<torch::Tensor> every = computed_;
    every.insert(every.end(), frozen_.begin(), frozen_.end());
    half_.emplace(std::move(every));
    std::copy_n(half_->masters().begin(), masters_.size(), masters_.begin());
  }
  std::erase_if(frozen_, [](const torch::Tensor& parameter) { return !parameter.requires_grad(); });
  for (torch::Tensor& parameter : frozen_) parameter.requires_grad_(false);
}

TrainedParameters::~TrainedParameters() {
  if (lora_) detach_lora(model_);
  for (torch::Tensor& parameter : frozen_) parameter.requires_grad_(true);
}

std::vector<torch::Tensor> TrainedParameters::halves() const {
  return half_ ? computed_ : std::vector<torch::Tensor>{};
}

void TrainedParameters::append_state(NamedTensors& state) const {
  for (std::size_t i = 0; i < names_.size(); ++i) state.emplace_back(names_[i], masters_[i]);
  if (!all_) return;
  for (const auto& buffer : model_.named_buffers()) state.emplace_back("model." + buffer.key(), buffer.value());
}

void TrainedParameters::refresh() {
  if (half_) half_->refresh();
}

std::optional<Lora> TrainedParameters::merge() {
  half_.reset();
  if (!lora_) return std::nullopt;
  Lora learned = *lora_;
  detach_lora(model_);
  lora_.reset();
  for (auto& [module, pair] : learned) pair = {pair.down.detach(), pair.up.detach(), pair.scale};
  merge_lora(model_, learned, "training");
  return learned;
}

}  // namespace guda::worker
