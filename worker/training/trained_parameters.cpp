#include "worker/training/trained_parameters.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/error.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

bool is_trained(const jobs::ParametersConfig& config, const std::string& parameter) {
  constexpr std::array<std::string_view, 4> kProjections{".to_q.", ".to_k.", ".to_v.", ".to_out."};
  if (config.kind == "lora") return false;
  return config.empty() || std::any_of(kProjections.begin(), kProjections.end(), [&](std::string_view projection) {
           return parameter.find(projection) != std::string::npos;
         });
}

TrainedParameters::TrainedParameters(torch::nn::Module& model, const jobs::ParametersConfig& config,
                                     const SeedPath& seed)
    : model_(model), all_(config.empty()) {
  if (all_) {
    tensors_ = model.parameters();
    return;
  }
  for (auto& parameter : model.named_parameters()) {
    if (is_trained(config, parameter.key())) {
      tensors_.push_back(parameter.value());
      named_.emplace_back("model." + parameter.key(), parameter.value());
    } else if (parameter.value().requires_grad()) {
      parameter.value().requires_grad_(false);
      frozen_.push_back(parameter.value());
    }
  }
  if (config.kind == "lora") {
    const double alpha = config.alpha > 0 ? config.alpha : config.rank;
    lora_ = attach_lora(model, config.rank, alpha / config.rank, seed / "lora");
    for (const auto& [module, pair] : *lora_) {
      for (const auto& [part, tensor] : {std::pair{"down", pair.down}, {"up", pair.up}}) {
        tensors_.push_back(tensor);
        named_.emplace_back("lora." + module + "." + part, tensor);
      }
    }
  }
  if (tensors_.empty()) throw Error("parameters: the model has no attention to train");
}

TrainedParameters::~TrainedParameters() {
  if (lora_) detach_lora(model_);
  for (torch::Tensor& parameter : frozen_) parameter.requires_grad_(true);
}

void TrainedParameters::append_state(NamedTensors& state) const {
  if (all_) return worker::append_state(model_, state);
  state.insert(state.end(), named_.begin(), named_.end());
}

std::optional<Lora> TrainedParameters::merge() {
  if (!lora_) return std::nullopt;
  Lora learned = *lora_;
  detach_lora(model_);
  lora_.reset();
  for (auto& [module, pair] : learned) pair = {pair.down.detach(), pair.up.detach(), pair.scale};
  merge_lora(model_, learned, "training");
  return learned;
}

}  // namespace guda::worker
