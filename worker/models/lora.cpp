#include "worker/models/lora.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/random.hpp"
#include "common/safetensors.hpp"
#include "worker/models/sample_gradients.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

constexpr std::string_view kPrefix = "unet.";

template <class Visit>
void over_adaptable(torch::nn::Module& model, const Visit& visit) {
  for (const auto& module : model.named_modules("", /*include_self=*/false)) {
    if (auto* linear = dynamic_cast<AdaptableLinearImpl*>(module.value().get())) visit(module.key(), *linear);
  }
}

enum class Part { down, up, alpha };

struct Parsed {
  std::string module;
  Part part;
};

/// "<module>.attn1.processor.to_q_lora" as diffusers 0.2x named the pair of "<module>.attn1.to_q".
std::string current_module(std::string module) {
  constexpr std::string_view kProcessor = ".processor.", kSuffix = "_lora";
  const std::size_t at = module.find(kProcessor);
  if (at == std::string::npos || !module.ends_with(kSuffix)) return module;
  std::string layer = module.substr(at + kProcessor.size());
  layer.resize(layer.size() - kSuffix.size());
  return module.substr(0, at) + "." + (layer == "to_out" ? "to_out.0" : layer);
}

std::optional<Parsed> parse_name(std::string_view name) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  constexpr std::array<std::pair<std::string_view, Part>, 7> kEndings{{{".lora_A.weight", Part::down},
                                                                       {".lora_B.weight", Part::up},
                                                                       {".lora.down.weight", Part::down},
                                                                       {".lora.up.weight", Part::up},
                                                                       {".down.weight", Part::down},
                                                                       {".up.weight", Part::up},
                                                                       {".alpha", Part::alpha}}};
  for (const auto& [ending, part] : kEndings) {
    if (!name.ends_with(ending)) continue;
    return Parsed{current_module(std::string(name.substr(0, name.size() - ending.size()))), part};
  }
  return std::nullopt;
}

/// [out, in], of all a pair's numbers behind the first axis of each.
at::Tensor product(const LowRank& pair) { return at::mm(pair.up.flatten(1), pair.down.flatten(1)); }

}  // namespace

at::Tensor AdaptableLinearImpl::forward(const at::Tensor& x) {
  const at::Tensor y = apply_linear(weight, bias, x);
  if (!pair.down.defined()) return y;
  return y + at::linear(at::linear(x, pair.down), pair.up) * pair.scale;
}

Lora attach_lora(torch::nn::Module& model, std::uint32_t rank, double scale, const SeedPath& seed) {
  Lora lora;
  over_adaptable(model, [&](const std::string& name, AdaptableLinearImpl& linear) {
    const at::Tensor& weight = linear.weight;
    const std::int64_t out = weight.size(0), in = weight.size(1);
    at::Tensor down = at::empty({rank, in}, at::kFloat);
    const std::uint64_t key = (seed / name).value();
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    float* const numbers = down.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < down.numel(); ++i)
      numbers[i] = static_cast<float>((2 * random_uniform(key, static_cast<std::uint64_t>(i)) - 1) * bound);
    linear.pair = {down.to(weight.device()).requires_grad_(true),
                   at::zeros({out, rank}, weight.options()).requires_grad_(true), scale};
    lora.emplace(name, linear.pair);
  });
  if (lora.empty()) throw Bug("attach_lora: the model has no layer for a pair");
  return lora;
}

std::vector<at::Tensor> attached_lora(const torch::nn::Module& part) {
  std::vector<at::Tensor> tensors;
  for (const auto& module : part.modules(/*include_self=*/false)) {
    const auto* linear = dynamic_cast<const AdaptableLinearImpl*>(module.get());
    if (linear != nullptr && linear->pair.down.defined())
      tensors.insert(tensors.end(), {linear->pair.down, linear->pair.up});
  }
  return tensors;
}

void detach_lora(torch::nn::Module& model) {
  over_adaptable(model, [](const std::string&, AdaptableLinearImpl& linear) { linear.pair = {}; });
}

void merge_lora(torch::nn::Module& model, const Lora& lora, const std::string& where, double strength) {
  const at::NoGradGuard no_grad;
  auto parameters = model.named_parameters();
  std::vector<std::string> unknown, misfits;
  for (const auto& [name, pair] : lora) {
    at::Tensor* const weight = parameters.find(name + ".weight");
    if (weight == nullptr) {
      unknown.push_back(name);
    } else if (pair.up.size(0) != weight->size(0) ||
               pair.down.numel() / pair.down.size(0) * pair.up.size(0) != weight->numel() ||
               pair.up.numel() / pair.up.size(0) != pair.down.size(0)) {
      misfits.push_back(fmt::format("{} (down [{}], up [{}], weight [{}])", name, fmt::join(pair.down.sizes(), ", "),
                                    fmt::join(pair.up.sizes(), ", "), fmt::join(weight->sizes(), ", ")));
    }
  }
  if (!unknown.empty() || !misfits.empty()) {
    std::string text = where + ": this LoRA is of another model:";
    if (!unknown.empty()) text += fmt::format("\n  {} of no layer: {}", unknown.size(), fmt::join(unknown, ", "));
    if (!misfits.empty()) text += fmt::format("\n  {} misshaped: {}", misfits.size(), fmt::join(misfits, ", "));
    throw Error(text);
  }
  for (const auto& [name, pair] : lora) {
    at::Tensor& weight = parameters[name + ".weight"];
    weight.set_data(weight + product(pair).view_as(weight) * (pair.scale * strength));
  }
}

Lora read_lora(const std::filesystem::path& file) {
  const SafetensorsFile stored(file);
  Lora lora;
  std::map<std::string, double> alphas;
  std::vector<std::string> unknown, halves;
  for (const auto& [name, entry] : stored.tensors()) {
    const auto parsed = name.starts_with("text_encoder") ? std::nullopt : parse_name(name);
    const bool fits = parsed && (parsed->part == Part::alpha || entry.shape.size() >= 2);
    if (!fits) {
      unknown.push_back(name);
      continue;
    }
    // A copy: the file is closed at the end.
    const at::Tensor numbers = tensor_from(stored, name).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    if (parsed->part == Part::alpha) alphas[parsed->module] = numbers.sum().item<double>();
    else (parsed->part == Part::down ? lora[parsed->module].down : lora[parsed->module].up) = numbers;
  }
  for (auto& [module, pair] : lora) {
    if (!pair.down.defined() || !pair.up.defined()) halves.push_back(module);
    else if (alphas.contains(module)) pair.scale = alphas[module] / static_cast<double>(pair.down.size(0));
  }
  if (lora.empty() && unknown.empty()) throw Error(file.string() + ": holds no LoRA");
  if (unknown.empty() && halves.empty()) return lora;
  std::string text = file.string() + ": is no LoRA of a UNet2DConditionModel as diffusers or peft saves it:";
  if (!unknown.empty())
    text += fmt::format("\n  {} of other parts or unknown: {}", unknown.size(), fmt::join(unknown, ", "));
  if (!halves.empty()) text += fmt::format("\n  {} without its other half: {}", halves.size(), fmt::join(halves, ", "));
  throw Error(text);
}

void write_lora(const std::filesystem::path& file, const Lora& lora) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> alive;
  std::vector<TensorToWrite> tensors;
  const auto keep = [&](const std::string& name, const at::Tensor& tensor) {
    alive.push_back(tensor.detach().cpu().contiguous());
    tensors.push_back(to_write(name, alive.back()));
  };
  for (const auto& [module, pair] : lora) {
    keep(fmt::format("{}{}.lora_A.weight", kPrefix, module), pair.down);
    keep(fmt::format("{}{}.lora_B.weight", kPrefix, module), pair.up * pair.scale);
  }
  write_safetensors(file, std::move(tensors), {{"format", "pt"}});
}

}  // namespace guda::worker
