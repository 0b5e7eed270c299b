#include "worker/diffusion/gpu_scoring.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "worker/device/device.hpp"
#include "worker/device/device_health.hpp"
#include "worker/device/gpu_ops.hpp"
#include "worker/device/replay.hpp"

namespace guda::worker {
namespace {

/// Batches that may wait on the device: the host fills the next tables meanwhile, and a request to stop is heard soon.
constexpr std::size_t kAhead = 4;

}  // namespace

std::vector<float> gpu_squared_errors(const Denoiser& model, Prediction prediction, const jobs::NoiseSchedule& schedule,
                                      const torch::Tensor& queries, std::span<const std::string> names,
                                      std::span<const jobs::Slot> slots, std::uint32_t batch, std::uint64_t noise_seed,
                                      torch::Device device, const std::function<void(const Progress&)>& progress,
                                      const torch::Tensor& contexts, bool graphs) {
  const c10::InferenceMode inference;
  std::vector<std::uint64_t> ids;
  for (const std::string& name : names) ids.push_back(query_id(name));
  const std::size_t rows = ids.size() * slots.size();
  if (std::any_of(slots.begin(), slots.end(),
                  [](const jobs::Slot& s) { return s.timestep > 0xFFFFU || s.draw > 0xFFFFU; }))
    throw Error("noise: timesteps and draws must be below 65536");
  if (rows >= cuda::kNowhere) throw Error("a block of queries has more rows than a GPU's tables: lower scoring.block");
  const torch::Tensor x0 = queries.contiguous().to(device), told = contexts.defined() ? contexts.to(device) : contexts;
  torch::Tensor results = torch::empty({static_cast<std::int64_t>(rows)}, torch::TensorOptions().device(device));
  gpu::BatchInputs inputs = gpu::make_inputs(batch, x0[0].sizes(), device);
  torch::Tensor table = gpu::device_rows(batch, device);
  std::array<torch::Tensor, kAhead> tables;
  for (torch::Tensor& t : tables) t = gpu::pinned_rows(batch);

  Replay replay(device, graphs);
  const auto score_batch = [&] {
    gpu::noised_rows(noise_seed, table, x0, inputs);
    Condition condition;
    if (told.defined()) condition.context = told.index_select(0, inputs.images);
    const torch::Tensor predicted = model(inputs.x_t, inputs.timesteps, condition);
    gpu::squared_errors(noise_seed, table, to_eps(prediction, predicted, inputs.x_t, {inputs.gamma, inputs.sigma}),
                        results);
  };
  const std::uint64_t batches = (rows + batch - 1) / batch;
  for (std::uint64_t b = 0; b < batches; ++b) {
    // A table may be filled again when the device has read it.
    if (b % kAhead == 0 && b > 0) synchronize(device);
    torch::Tensor& pinned = tables[b % kAhead];
    const std::size_t first = b * batch;
    const auto to = gpu::rows_in(pinned);
    for (std::size_t i = 0; i < batch; ++i) {
      const bool real = first + i < rows;
      const std::size_t row = real ? first + i : rows - 1;  // the last one fills the batch
      const jobs::Slot& slot = slots[row % slots.size()];
      const std::size_t query = row / slots.size();
      to[i] = {.query_id = ids[query],
               .slot = slot.timestep << 16 | slot.draw,
               .image = static_cast<std::uint32_t>(query),
               .scale = static_cast<float>(schedule.sqrt_alpha_bar(slot.timestep)),
               .spread = static_cast<float>(schedule.sigma(slot.timestep)),
               .sign = slot.negated ? -1.0F : 1.0F,
               .place = real ? static_cast<std::uint32_t>(row) : cuda::kNowhere};
    }
    table.copy_(pinned, /*non_blocking=*/true);
    replay.run(score_batch);
    progress({b + 1, batches, std::numeric_limits<double>::quiet_NaN()});
  }
  const torch::Tensor there = results.to(torch::kCPU);
  return {there.const_data_ptr<float>(), there.const_data_ptr<float>() + rows};
}

void gpu_fill_rows(torch::Tensor& noise, std::span<const std::uint64_t> ids, std::uint64_t seed, std::uint32_t timestep,
                   std::uint32_t draw) {
  const auto count = static_cast<std::int64_t>(ids.size());
  torch::Tensor pinned = gpu::pinned_rows(count), table = gpu::device_rows(count, noise.device());
  const auto rows = gpu::rows_in(pinned);
  for (std::size_t i = 0; i < ids.size(); ++i)
    rows[i] = {.query_id = ids[i],
               .slot = timestep << 16 | draw,
               .image = 0,
               .scale = 0,
               .spread = 0,
               .sign = 1,
               .place = cuda::kNowhere};
  table.copy_(pinned, /*non_blocking=*/true);
  gpu::fill_rows(seed, table, count, noise);
}

}  // namespace guda::worker
