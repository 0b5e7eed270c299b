// What a GPU does with our models: forwards, training images and optimizer steps a second, as graphs and as they are,
// in every precision, and what determinism costs. Prints JSON. usage: guda_gpu_measure [--seconds S] [--small] Random
// weights and random images (zeros would let the card clock higher); medians of CUDA-synchronised wall times.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/json.hpp"
#include "jobs/reference_networks.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/device/attention_choice.hpp"
#include "worker/diffusion/gpu_scoring.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/training/fit.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Settings {
  double seconds = 3;  ///< of each measurement
  bool small = false;  ///< a tiny network: to see that everything runs
};

/// The published network of CIFAR-10.
Json cifar_unet(bool small) {
  if (!small) return jobs::cifar10_unet();
  Json config = test::tiny_model();
  config["in_channels"] = config["out_channels"] = 3;
  config["add_attention"] = true;
  return config;
}

/// Images a second of training on batches of `batch`; negative when memory is short.
double training_rate(const Settings& settings, torch::Device device, std::uint32_t batch, bool graphs) {
  const Json config = cifar_unet(settings.small);
  UNet2D model = make_unet2d(config, 1);
  move_to(*model, device);
  const auto side = config["sample_size"].get<std::int64_t>();
  const torch::Tensor images = draw_noise(SeedPath(1), 0, {batch, 3, side, side}, device);
  FitOptions options;
  options.config.steps = 1'000'000;
  options.config.batch = batch;
  options.config.clip = 1;
  options.config.ema_max_decay = 0.9999;
  options.device = device;
  options.graphs = graphs;
  const DrawBatch draw = [&](std::uint64_t step) {
    TrainingBatch drawn;
    drawn.items.assign(batch, 0);
    drawn.timesteps = draw_timesteps(SeedPath(2), step, batch, 1000, true);
    const torch::Tensor noise = draw_noise(SeedPath(3), step, images.sizes(), device);
    drawn.inputs = {images + noise, to_tensor(drawn.timesteps), noise};
    return drawn;
  };
  const RowLosses losses = [&](std::span<const torch::Tensor> in) {
    return (model(in[0], in[1], torch::Tensor()) - in[2]).square().mean({1, 2, 3});
  };
  constexpr std::uint64_t kSettled = 8;
  double start = 0, now = 0;
  std::uint64_t steps = 0;
  TrainedParameters trained(*model, {}, SeedPath(4));
  try {
    (void)fit(*model, trained, draw, losses, options, [&](const Progress& p) {
      synchronize(device);
      now = steady_seconds();
      if (p.step == kSettled) start = now;
      if (p.step <= kSettled) return;
      steps = p.step - kSettled;
      if (now - start >= settings.seconds) throw Cancelled{};
    });
  } catch (const Cancelled&) {
  }
  return static_cast<double>(steps) * batch / (now - start);
}

/// Forwards a second of scoring in batches of `batch`.
double scoring_rate(const Settings& settings, torch::Device device, std::uint32_t batch, bool graphs) {
  const Json config = cifar_unet(settings.small);
  const Denoiser model = make_unet2d(config, 1);
  move_to(model.module(), device);
  model->eval();
  const auto side = config["sample_size"].get<std::int64_t>();
  const jobs::DiffusionConfig diffusion;
  const jobs::NoiseSchedule schedule(diffusion);
  const torch::Tensor queries = draw_noise(SeedPath(1), 0, {64, 3, side, side});
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) names.push_back("query/" + std::to_string(i));
  std::vector<jobs::Slot> slots;
  for (std::uint32_t t = 0; t < schedule.timesteps(); ++t) {
    for (std::uint32_t draw = 0; draw < 100; ++draw) slots.push_back({t, draw, 0});
  }
  constexpr std::uint64_t kSettled = 8;
  double start = 0, now = 0;
  std::uint64_t batches = 0;
  const auto progress = [&](const Progress& p) {
    if (p.step % 4 != 0) return;  // a wait after every batch would leave the device idle
    synchronize(device);
    now = steady_seconds();
    if (p.step == kSettled) start = now;
    if (p.step <= kSettled) return;
    batches = p.step - kSettled;
    if (now - start >= settings.seconds) throw Cancelled{};
  };
  try {
    if (device.is_cpu()) {
      (void)squared_errors(model, diffusion, queries, names, slots, batch, 7, device, progress);
    } else {
      (void)gpu_squared_errors(model, Prediction::epsilon, schedule, queries, names, slots, batch, 7, device, progress,
                               {}, graphs);
    }
  } catch (const Cancelled&) {
  }
  return static_cast<double>(batches) * batch / (now - start);
}

/// Median milliseconds of `work`.
double milliseconds(const Settings& settings, torch::Device device, const std::function<void()>& work) {
  for (int i = 0; i < 5; ++i) work();
  std::vector<double> times;
  const double begin = steady_seconds();
  while (times.size() < 5 || (steady_seconds() - begin < settings.seconds && times.size() < 1000)) {
    synchronize(device);
    const double start = steady_seconds();
    work();
    synchronize(device);
    times.push_back(1e3 * (steady_seconds() - start));
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

double optimizer_milliseconds(const Settings& settings, torch::Device device) {
  UNet2D model = make_unet2d(cifar_unet(settings.small), 1);
  move_to(*model, device);
  for (torch::Tensor& p : model->parameters())
    p.mutable_grad() = torch::full_like(p, 1e-4, {}, at::MemoryFormat::Preserve);
  AdamW optimizer(model->parameters(), {}, /*clip=*/1);
  Ema ema(model->parameters(), 0.9999);
  return milliseconds(settings, device, [&] { optimizer.step(1e-4, &ema, /*keep_gradients=*/true); });
}

/// GroupNorm and SiLU, forward and backward, of 64 images of 128 channels at 32x32.
double norm_milliseconds(const Settings& settings, torch::Device device) {
  const std::int64_t side = settings.small ? 4 : 32;
  const torch::Tensor x = test::last(draw_noise(SeedPath(1), 0, {64, 128, side, side}, device)).requires_grad_();
  const torch::Tensor gamma = torch::ones({128}, device).requires_grad_(),
                      beta = torch::zeros({128}, device).requires_grad_();
  const torch::Tensor dy = test::last(draw_noise(SeedPath(2), 0, x.sizes(), device));
  return milliseconds(settings, device, [&] { group_norm(x, gamma, beta, 32, 1e-5, true).backward(dy); });
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--small") settings.small = true;
    if (word == "--seconds" && i + 1 < argc) settings.seconds = std::stod(argv[++i]);
  }
  if (!test::on_cpu() && gpu_count() == 0) {
    std::printf("skipped: %s\n", why_no_gpu().c_str());
    return 77;
  }
  Json rows = Json::array();
  const auto add = [&](const char* what, const char* precision, bool graphs, bool deterministic, std::uint32_t batch,
                       const char* unit, double value) {
    rows.push_back({{"what", what},
                    {"precision", precision},
                    {"graph", graphs},
                    {"deterministic", deterministic},
                    {"batch", batch},
                    {"unit", unit},
                    {"value", value}});
    std::fprintf(stderr, "%s, %s, batch %u%s%s: %.1f %s\n", what, precision, batch, graphs ? ", graph" : "",
                 deterministic ? ", deterministic" : "", value, unit);
  };
  const std::uint32_t large = settings.small ? 16 : 256, small = settings.small ? 4 : 32;
  for (const char* precision : {"tf32", "float32"}) {
    const torch::Device device = test::gpu(precision, false);
    for (const std::uint32_t batch : {large, small}) {
      for (const bool graphs : {true, false}) {
        add("scoring", precision, graphs, false, batch, "forwards/s", scoring_rate(settings, device, batch, graphs));
        add("training", precision, graphs, false, batch, "images/s", training_rate(settings, device, batch, graphs));
      }
    }
  }
  const torch::Device strict = test::gpu("tf32", true);
  add("scoring", "tf32", true, true, large, "forwards/s", scoring_rate(settings, strict, large, true));
  add("training", "tf32", true, true, large, "images/s", training_rate(settings, strict, large, true));
  const torch::Device device = test::gpu("tf32", false);
  add("AdamW, clipping and EMA of 49 M weights", "float32", false, false, 0, "ms",
      optimizer_milliseconds(settings, device));
  add("GroupNorm + SiLU and back, 64 x 128 x 32 x 32", "float32", false, false, 64, "ms",
      norm_milliseconds(settings, device));
  Json attention = Json::array();
  for (const AttentionTiming& timing : attention_timings()) {
    Json times = Json::object();
    for (const auto& [name, microseconds] : timing.microseconds) times[name] = microseconds;
    attention.push_back({{"shape", timing.shape}, {"chosen", timing.chosen}, {"microseconds", times}});
  }
  std::printf("%s\n", Json{{"schema", 1},
                           {"small", settings.small},
                           {"rows", rows},
                           {"attention", attention},
                           {"peak_bytes", device_peak(device)},
                           {"device_bytes", device_memory(device)}}
                          .dump(1)
                          .c_str());
  return 0;
}
