#include "worker/diffusion/scoring.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/gpu_scoring.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

/// Sum of squared differences in a fixed order: eight float64 lanes, so that it vectorises and stays one function of
/// the row's values.
float squared_error(const float* a, const float* b, std::size_t n) {
  constexpr std::size_t kLanes = 8;
  double lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double difference = static_cast<double>(a[i + lane]) - b[i + lane];
      lanes[lane] += difference * difference;
    }
  }
  for (; i < n; ++i) lanes[0] += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return static_cast<float>(sum);
}

}  // namespace

std::vector<float> squared_errors(const Denoiser& model, const jobs::DiffusionConfig& diffusion,
                                  const torch::Tensor& queries, std::span<const std::string> names,
                                  std::span<const jobs::Slot> slots, std::uint32_t batch, std::uint64_t noise_seed,
                                  torch::Device device, const std::function<void(const Progress&)>& progress,
                                  const torch::Tensor& contexts) {
  if (batch == 0) throw Error("scoring.batch: must be at least 1");
  const c10::InferenceMode inference;
  const jobs::NoiseSchedule schedule(diffusion);
  for (const jobs::Slot& slot : slots) {
    if (slot.timestep >= schedule.timesteps()) {
      throw Error("a slot lies at timestep " + std::to_string(slot.timestep) + ", the schedule has " +
                  std::to_string(schedule.timesteps()));
    }
  }
  const Prediction prediction = prediction_from(diffusion.prediction);
  const auto require_finite = [&](const std::vector<float>& errors) {
    const auto bad = std::find_if(errors.begin(), errors.end(), [](float value) { return !std::isfinite(value); });
    if (bad == errors.end()) return;
    const auto at = static_cast<std::size_t>(bad - errors.begin());
    throw DivergenceError("the model predicts NaN or Inf for query " + names[at / slots.size()] +
                          " at t=" + std::to_string(slots[at % slots.size()].timestep) + "; its training diverged");
  };
  if (device.is_cuda()) {
    std::vector<float> errors = gpu_squared_errors(model, prediction, schedule, queries, names, slots, batch,
                                                   noise_seed, device, progress, contexts);
    require_finite(errors);
    return errors;
  }
  const torch::Tensor x0 = queries.contiguous();
  const auto size = static_cast<std::size_t>(x0[0].numel());
  std::vector<std::uint64_t> ids;
  for (const std::string& name : names) ids.push_back(query_id(name));

  std::vector<std::int64_t> shape{batch, x0.size(1), x0.size(2), x0.size(3)};
  torch::Tensor noise = torch::zeros(shape), x_t = torch::zeros(shape);
  torch::Tensor timesteps = torch::zeros({batch}, torch::kInt64);
  torch::Tensor told = torch::zeros({batch}, torch::kInt64);  // rows of `contexts`
  NoiseLevels levels{torch::ones({batch, 1, 1, 1}), torch::ones({batch, 1, 1, 1})};
  const std::size_t rows = ids.size() * slots.size();
  std::vector<float> result(rows);
  const std::uint64_t batches = (rows + batch - 1) / batch;
  for (std::uint64_t b = 0; b < batches; ++b) {
    const std::size_t first = b * batch, count = std::min<std::size_t>(batch, rows - first);
    std::optional<ProfileSpan> making(std::in_place, "guda::noised_rows");
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t query = (first + i) / slots.size();
      const jobs::Slot& slot = slots[(first + i) % slots.size()];
      float* const eps = noise.data_ptr<float>() + i * size;
      fill_normal(noise_seed, ids[query], slot.timestep, slot.draw, {eps, size});
      if (slot.negated) std::transform(eps, eps + size, eps, std::negate<>());
      const auto scale = static_cast<float>(schedule.sqrt_alpha_bar(slot.timestep));
      const auto spread = static_cast<float>(schedule.sigma(slot.timestep));
      const float* const image = x0.data_ptr<float>() + query * size;
      float* const out = x_t.data_ptr<float>() + i * size;
      for (std::size_t p = 0; p < size; ++p) out[p] = scale * image[p] + spread * eps[p];
      timesteps.data_ptr<std::int64_t>()[i] = slot.timestep;
      told.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(query);
      levels.gamma.data_ptr<float>()[i] = scale;
      levels.sigma.data_ptr<float>()[i] = spread;
    }
    making.reset();
    const torch::Tensor at = x_t.to(device);
    Condition condition;
    if (contexts.defined()) condition.context = contexts.index_select(0, told).to(device);
    torch::Tensor predicted = model(at, timesteps.to(device), condition);
    predicted = to_eps(prediction, predicted, at, {levels.gamma.to(device), levels.sigma.to(device)});
    predicted = predicted.to(torch::kCPU, torch::kFloat32).contiguous();
    const ProfileSpan comparing("guda::squared_error");
    for (std::size_t i = 0; i < count; ++i) {
      result[first + i] =
          squared_error(noise.data_ptr<float>() + i * size, predicted.data_ptr<float>() + i * size, size);
    }
    progress({b + 1, batches, std::numeric_limits<double>::quiet_NaN()});
  }
  require_finite(result);
  return result;
}

}  // namespace guda::worker
