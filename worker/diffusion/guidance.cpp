#include "worker/diffusion/guidance.hpp"

namespace guda::worker {

torch::Tensor guided_output(const Denoiser& model, const torch::Tensor& x, const torch::Tensor& timesteps,
                            const Prompted& prompted, const torch::Tensor& contexts) {
  if (!contexts.defined()) return model(x, timesteps);
  if (prompted.guidance == 0) return model(x, timesteps, {contexts, {}});
  const torch::Tensor unprompted = prompted.no_prompt.to(contexts.device()).expand_as(contexts);
  const torch::Tensor both =
      model(torch::cat({x, x}), torch::cat({timesteps, timesteps}), {torch::cat({unprompted, contexts}), {}});
  const std::vector<torch::Tensor> half = both.chunk(2);
  return half[0] + prompted.guidance * (half[1] - half[0]);
}

}  // namespace guda::worker
