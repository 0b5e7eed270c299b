#pragma once
// LoRA (Hu et al., arXiv 2106.09685): pairs of thin matrices beside a model's weights. Their product, times a scale, is
// what a weight would have to change; kept apart while it is trained, merged before anything else is computed.
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/digest.hpp"

namespace guda::worker {

/// weight += scale * up down, of a linear layer or (both flattened behind the first axis) a convolution.
struct LowRank {
  at::Tensor down;  ///< [rank, in, ...], lora_A
  at::Tensor up;    ///< [out, rank, ...], lora_B
  double scale = 1;
};

/// By the name of the module whose `weight` is changed: "mid_block.attentions.0.transformer_blocks.0.attn1.to_q".
using Lora = std::map<std::string, LowRank>;

/// A linear layer that may have a pair beside it.
class AdaptableLinearImpl : public torch::nn::LinearImpl {
 public:
  using LinearImpl::LinearImpl;
  at::Tensor forward(const at::Tensor& x);
  LowRank pair;  ///< of undefined tensors: none
};
TORCH_MODULE(AdaptableLinear);

/// Puts a pair beside every AdaptableLinear of the model, whose tensors want gradients: down uniform within
/// 1/sqrt(in) (peft's), up zero, so that the model stays what it is. Random numbers are a function of the seed and the
/// layer's name. Bug when there is no such layer.
Lora attach_lora(torch::nn::Module& model, std::uint32_t rank, double scale, const SeedPath& seed);

/// The pairs that are beside layers of this part of a model, in the order of its modules: no parameters of theirs.
[[nodiscard]] std::vector<at::Tensor> attached_lora(const torch::nn::Module& part);

/// Takes them away again.
void detach_lora(torch::nn::Module& model);

/// Adds the products, times `strength`, to the weights, which become tensors of their own: what shared memory with them
/// keeps its numbers. Throws Error listing all pairs that are of no module of the model or do not fit its weight;
/// `where` begins the message.
void merge_lora(torch::nn::Module& model, const Lora& lora, const std::string& where, double strength = 1);

/// Reads pytorch_lora_weights.safetensors as diffusers, peft and their predecessors name tensors
/// ("unet.<module>.lora_A. weight", "...lora.down.weight", "...processor.to_q_lora.down.weight", with or without
/// "<module>.alpha"). Throws Error for tensors of other models (text encoders), unknown names, and pairs of which one
/// is missing: all at once.
[[nodiscard]] Lora read_lora(const std::filesystem::path& file);

/// Writes what diffusers' load_lora_weights reads. The scale is multiplied into lora_B, since versions of diffusers
/// differ in where they look for it. Throws IoError.
void write_lora(const std::filesystem::path& file, const Lora& lora);

/// The name under which diffusers looks for it in a folder.
inline constexpr const char* kLoraFile = "pytorch_lora_weights.safetensors";

}  // namespace guda::worker
