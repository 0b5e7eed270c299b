#include "worker/eval_sampler.hpp"

#include <ATen/ATen.h>

#include <vector>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "jobs/experiment_json.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/chain.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

/// `defaults` with every key that `given` has replaced; takes the key out of `given`.
Json merged(Json defaults, Json& given) {
  for (auto& [key, value] : defaults.items()) {
    if (!given.contains(key)) continue;
    value = given[key];
    given.erase(key);
  }
  return defaults;
}

}  // namespace

int eval_sampler(const std::filesystem::path& input, const std::filesystem::path& output) {
  const SafetensorsFile in(input);
  const auto options = in.metadata().find("options");
  if (options == in.metadata().end()) throw Error(input.string() + ": has no metadata key 'options'");
  Json given = Json::parse(options->second, nullptr, /*allow_exceptions=*/false);
  if (!given.is_object()) throw Error(input.string() + ": options: is not a JSON object");
  const auto sampler = merged(Json(jobs::SamplerConfig{}), given).get<jobs::SamplerConfig>();
  const auto diffusion = merged(Json(jobs::DiffusionConfig{}), given).get<jobs::DiffusionConfig>();
  if (!given.empty()) throw Error(input.string() + ": options: '" + given.begin().key() + "' is not a known key");

  const at::NoGradGuard no_grad;
  const Chain chain(sampler, jobs::NoiseSchedule(diffusion), prediction_from(diffusion.prediction));
  const at::Tensor outputs = tensor_from(in, "outputs"), noises = tensor_from(in, "noises");
  const auto steps = static_cast<std::int64_t>(chain.timesteps().size());
  if (outputs.dim() != 5 || outputs.size(0) != steps || outputs.sizes() != noises.sizes()) {
    throw Error(input.string() + ": outputs and noises are not [" + std::to_string(steps) + ", N, C, H, W]");
  }
  at::Tensor x = tensor_from(in, "sample"), memory, timesteps = at::empty({steps}, at::kLong);
  if (x.sizes() != outputs.sizes().slice(1)) throw Error(input.string() + ": sample and outputs differ in shape");
  std::vector<at::Tensor> results;
  for (std::int64_t i = 0; i < steps; ++i) {
    timesteps[i] = static_cast<std::int64_t>(chain.timesteps()[static_cast<std::size_t>(i)]);
    x = chain.step(outputs[i], static_cast<std::size_t>(i), x, noises[i], memory);
    results.push_back(x);
  }
  const at::Tensor all = at::stack(results).contiguous();
  write_safetensors(output, {to_write("timesteps", timesteps), to_write("results", all)});
  return 0;
}

}  // namespace guda::worker
