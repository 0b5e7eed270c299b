#include "worker/diffusion/chain.hpp"

#include "common/error.hpp"

namespace guda::worker {
namespace {

std::variant<Ddim, Ddpm, DpmSolver> make(const jobs::SamplerConfig& c, const jobs::NoiseSchedule& schedule,
                                         Prediction prediction) {
  if (c.kind == "ddim") return Ddim(schedule, prediction, {.steps = c.steps, .eta = c.eta, .clip_sample = c.clamp});
  if (c.kind == "ddpm") return Ddpm(schedule, prediction, {.steps = c.steps, .clip_sample = c.clamp});
  if (c.kind == "dpmsolver++") return DpmSolver(schedule, prediction, {.steps = c.steps, .clip_sample = c.clamp});
  throw Error("sampler.kind: '" + c.kind + "' is not known; known: ddim, ddpm, dpmsolver++");
}

}  // namespace

Chain::Chain(const jobs::SamplerConfig& config, const jobs::NoiseSchedule& schedule, Prediction prediction)
    : sampler_(make(config, schedule, prediction)) {}

const std::vector<std::uint32_t>& Chain::timesteps() const {
  return std::visit([](const auto& sampler) -> const auto& { return sampler.timesteps(); }, sampler_);
}

double Chain::noise_std(std::uint32_t t) const {
  return std::visit(
      [&](const auto& sampler) {
        if constexpr (requires { sampler.noise_std(t); }) return sampler.noise_std(t);
        return 0.0;
      },
      sampler_);
}

at::Tensor Chain::step(const at::Tensor& output, std::size_t i, const at::Tensor& x, const at::Tensor& noise,
                       at::Tensor& memory) const {
  if (const auto* solver = std::get_if<DpmSolver>(&sampler_)) return solver->step(output, i, x, memory);
  const std::uint32_t t = timesteps()[i];
  if (const auto* ddpm = std::get_if<Ddpm>(&sampler_)) return ddpm->step(output, t, x, noise);
  return std::get<Ddim>(sampler_).step(output, t, x, noise);
}

}  // namespace guda::worker
