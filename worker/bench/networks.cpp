#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "jobs/cost.hpp"
#include "jobs/memory.hpp"
#include "jobs/reference_networks.hpp"
#include "worker/bench/bench_parts.hpp"
#include "worker/device/device.hpp"
#include "worker/device/device_health.hpp"
#include "worker/device/replay.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/fit.hpp"
#include "worker/training/half_weights.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/unlearn/unlearner.hpp"

namespace guda::worker {
namespace {

constexpr double kBuild = 12e-9;      // s per parameter that is drawn at random
constexpr double kPessimism = 2;      // of an expectation from the peak: small batches are far from it
constexpr std::int64_t kTokens = 77;  // of CLIP's longest text
constexpr std::uint32_t kItems = 512;

struct Sizes {
  std::vector<std::int64_t> forward, train;
};

Sizes sizes_of(const std::string& network, torch::Device device) {
  const bool small = network == "cifar10";
  if (device.is_cpu()) return small ? Sizes{{1, 8, 64}, {1, 8, 32}} : Sizes{{1, 4}, {1}};
  return small ? Sizes{{1, 64, 256, 1024}, {32, 128, 256}} : Sizes{{1, 8, 32, 64}, {4, 16, 32}};
}

/// Rows of a ReTrack step on retain and forget images each, largest first: the first that fits is measured.
constexpr std::int64_t kRetrack[] = {128, 32, 8, 2};

/// A reference network on the device, made when it is first wanted.
class Network {
 public:
  Network(const jobs::ReferenceNetwork& reference, torch::Device device)
      : config(reference.config()),
        macs(jobs::unet2d_macs(config)),
        parameters(jobs::unet2d_parameters(config)),
        activations(jobs::unet2d_activations(config)),
        device_(device) {}

  [[nodiscard]] double seconds_to_build() const { return model_ ? 0 : kBuild * parameters; }
  Denoiser model() {
    if (!model_) {
      model_ = make_denoiser(config, 1);
      move_to(model_->module(), device_);
    }
    return *model_;
  }
  void forget() { model_.reset(); }

  struct Inputs {
    torch::Tensor x, t;
    Condition condition;
  };
  [[nodiscard]] Inputs inputs(std::int64_t batch) const {
    const auto options = torch::TensorOptions().device(device_);
    const std::int64_t side = config.at("sample_size"), channels = config.at("in_channels");
    Inputs in{torch::randn({batch, channels, side, side}, options),
              torch::randint(1000, {batch}, torch::TensorOptions().dtype(torch::kInt64).device(device_)),
              {}};
    if (config.contains("cross_attention_dim"))
      in.condition.context =
          torch::randn({batch, kTokens, config.at("cross_attention_dim").get<std::int64_t>()}, options);
    return in;
  }

  const Json config;
  const double macs, parameters;
  const jobs::Activations activations;

 private:
  torch::Device device_;
  std::optional<Denoiser> model_;
};

jobs::Dataset noisy_images() {
  jobs::Dataset data;
  data.shape = {3, 32, 32};
  for (std::uint32_t i = 0; i < kItems * 3 * 32 * 32; ++i)
    data.pixels.push_back(static_cast<std::uint8_t>(i * 2654435761U >> 24));
  for (std::uint32_t i = 0; i < kItems; ++i) data.labels.push_back(i % 2), data.train.push_back(i);
  data.class_names = {"0", "1"};
  return data;
}

void forward(Replay& replay, const Denoiser& model, const Network::Inputs& in) {
  const c10::InferenceMode inference;
  replay.run([&] { (void)model(in.x, in.t, in.condition); });
}

void bench_forward(Bench& bench, Network& network, const std::string& name, std::int64_t batch,
                   torch::ScalarType type) {
  const double flops = 2 * network.macs * double(batch);
  const double size = double(torch::elementSize(type));
  bench.measure({.head = {{"name", name + " forward"}, {"network", name}, {"batch", batch}, {"dtype", type_name(type)}},
                 .expected = network.seconds_to_build() + kPessimism * 2 * flops / bench.peak(type_name(type)),
                 .memory = 4 * network.parameters + size * network.activations.forward * double(batch),
                 .flops = flops,
                 .items = double(batch),
                 .unit = "forwards/s",
                 .make = [&]() -> std::function<void()> {
                   const Denoiser model = network.model();
                   model->eval();
                   std::shared_ptr<HalfWeights> half;
                   if (type == torch::kBFloat16) half = std::make_shared<HalfWeights>(model->parameters());
                   const auto replay = std::make_shared<Replay>(bench.device());  // as scoring does it
                   const auto in = network.inputs(batch);
                   for (int i = 0; i <= Replay::kWarmUps; ++i) forward(*replay, model, in);
                   return [model, half, replay, in, device = bench.device()] {
                     forward(*replay, model, in);
                     synchronize(device);
                   };
                 }});
}

/// Seconds of the steps of a loop that tells its progress after each, without the first `settling` of them.
std::vector<double> seconds_of_steps(double allowance, int settling, torch::Device device,
                                     const std::function<void(const std::function<void(const Progress&)>&)>& loop) {
  struct Enough {};
  const double begin = steady_seconds();
  double last = begin;
  std::vector<double> seconds;
  try {
    loop([&](const Progress& p) {
      if (p.step == 0) return;
      synchronize(device);
      const double now = steady_seconds();
      if (p.step > static_cast<std::uint64_t>(settling)) seconds.push_back(now - last);
      last = now;
      const bool late = !seconds.empty() && now - begin + seconds.back() > allowance;
      if (late || seconds.size() >= kMostRepetitions) throw Enough{};
    });
  } catch (const Enough&) {
  }
  return seconds;
}

/// Steps until the times are those of all that follow: allocator, first touch, graphs.
int settling_on(torch::Device device) { return device.is_cpu() ? 1 : Replay::kWarmUps + 2; }

/// Steps of fit() on given images: forward, backward, clipping, AdamW and EMA.
void bench_training(Bench& bench, Network& network, const std::string& name, std::int64_t batch,
                    torch::ScalarType type) {
  const double flops = 6 * network.macs * double(batch);
  bench.measure(
      {.head = {{"name", name + " training"}, {"network", name}, {"batch", batch}, {"dtype", type_name(type)}},
       .expected = network.seconds_to_build() + kPessimism * 2 * flops / bench.peak(type_name(type)) +
                   2 * 1e-9 * network.parameters,
       .memory = 4 * (5 * network.parameters + network.activations.backward * double(batch)),
       .flops = flops,
       .items = double(batch),
       .unit = "images/s",
       .loop = [&](double allowance) {
         const Denoiser model = network.model();
         const auto in = network.inputs(batch);
         TrainingBatch drawn;
         drawn.items.assign(static_cast<std::size_t>(batch), 0);
         drawn.timesteps.assign(static_cast<std::size_t>(batch), 0);
         drawn.inputs = {in.x, in.t, in.condition.context};
         const RowLosses losses = [&](std::span<const torch::Tensor> inputs) {
           return (model(inputs[0], inputs[1], {inputs[2], {}}) - inputs[0]).square().mean({1, 2, 3});
         };
         FitOptions options;
         options.config.steps = 1'000'000;
         options.config.batch = static_cast<std::uint32_t>(batch);
         options.config.clip = 1;
         options.config.ema_max_decay = 0.9999;
         options.config.optimizer.lr = 1e-5;
         options.device = bench.device();
         TrainedParameters trained(model.module(), {}, SeedPath(1), type == torch::kBFloat16);
         return seconds_of_steps(allowance, settling_on(bench.device()), bench.device(), [&](const auto& progress) {
           (void)fit(model.module(), trained, [&](std::uint64_t) { return drawn; }, losses, options, progress);
         });
       }});
}

void bench_optimizer(Bench& bench, Network& network, const std::string& name) {
  // Reads weight, gradient, both moments and the average, writes all but the gradient.
  const double bytes = 9 * 4 * network.parameters;
  bench.measure(
      {.head = {{"name", name + " clip + AdamW + EMA"}, {"network", name}, {"dtype", type_name(torch::kFloat32)}},
       .expected = network.seconds_to_build() + 4 * bytes / 2e9,
       .memory = 24 * network.parameters,
       .bytes = bytes,
       .make = [&]() -> std::function<void()> {
         const Denoiser model = network.model();
         const auto optimizer = std::make_shared<AdamW>(model->parameters(), jobs::OptimizerConfig{}, 1.0);
         const auto ema = std::make_shared<Ema>(model->parameters(), 0.9999);
         for (torch::Tensor& p : model->parameters()) p.mutable_grad() = torch::full_like(p, 1e-3);
         return [model, optimizer, ema, device = bench.device()] {
           optimizer->step(1e-5, &*ema, /*keep_gradients=*/true);
           synchronize(device);
         };
       }});
  network.forget();  // with its gradients
}

/// A step as an Unlearn job does it, from the end of its first, which also finds the neighbours.
void bench_retrack(Bench& bench, Network& network) {
  const std::string type = type_name(torch::kFloat32);
  const auto seconds_of = [&](std::int64_t rows) {
    return kBuild * network.parameters + kPessimism * 3 * 12 * network.macs * double(rows) / bench.peak(type);
  };
  const double time = bench.time_of_next();
  const auto fitting = std::find_if(std::begin(kRetrack), std::end(kRetrack),
                                    [&](std::int64_t rows) { return seconds_of(rows) < time; });
  const std::int64_t rows = fitting == std::end(kRetrack) ? *std::prev(fitting) : *fitting;
  bench.measure(
      {.head = {{"name", "cifar10 retrack step"}, {"network", "cifar10"}, {"batch", 2 * rows}, {"dtype", type}},
       .expected = seconds_of(rows),
       .memory = 4 * (4 * network.parameters + network.activations.backward * 2 * double(rows)),
       .flops = 12 * network.macs * double(rows),
       .items = 2 * double(rows),
       .unit = "images/s",
       .loop = [&](double allowance) {
         const jobs::Dataset data = noisy_images();
         std::vector<std::uint32_t> removed;
         for (const std::uint32_t item : data.train) {
           if (data.labels[item] == 0) removed.push_back(item);
         }
         jobs::UnlearnSpec spec;
         spec.diffusion.timesteps = 4000;
         spec.unlearn.op = "retrack_exact";
         spec.unlearn.steps = 1000;
         spec.unlearn.retain_batch = spec.unlearn.forget_batch = static_cast<std::uint32_t>(rows);
         spec.unlearn.neighbours = 10;
         Examples examples = data;
         examples.move_to(bench.device());
         const Denoiser model = make_denoiser(network.config, 1);
         move_to(model.module(), bench.device());
         return seconds_of_steps(allowance, 1, bench.device(), [&](const auto& progress) {
           (void)unlearn(model, {}, spec, examples, removed, 2, bench.device(), progress);
         });
       }});
}

/// A graph of one tiny kernel.
void bench_graph_replay(Bench& bench) {
  const Json head{{"name", "graph replay"}};
  if (bench.device().is_cpu()) return bench.leave_out(head, "CUDA only");
  constexpr int kTimes = 1000;
  bench.measure({.head = head, .items = kTimes, .unit = "replays/s", .make = [&]() -> std::function<void()> {
                   const torch::Tensor number = torch::zeros({1}, torch::TensorOptions().device(bench.device()));
                   const auto replay = std::make_shared<Replay>(bench.device());
                   return [number, replay, device = bench.device()] {
                     for (int i = 0; i < kTimes; ++i) replay->run([&] { number.add_(1); });
                     synchronize(device);
                   };
                 }});
}

}  // namespace

std::vector<double> weights_of_networks(torch::Device device) {
  std::vector<double> weights;
  for (const jobs::ReferenceNetwork& reference : jobs::kReferenceNetworks) {
    const bool small = std::string(reference.name) == "cifar10";
    const Sizes sizes = sizes_of(reference.name, device);
    if (small) weights.push_back(1);  // optimizer
    for (std::size_t t = 0; t < bench_types(device).size(); ++t) {
      for (const std::int64_t n : sizes.forward) weights.push_back(n == 1 ? 1 : 2);
      for (const std::int64_t n : sizes.train) weights.push_back(n == 1 ? 2 : 4);
    }
    if (small) weights.push_back(4);  // retrack
  }
  weights.push_back(0.1);  // graph replay
  return weights;
}

void bench_networks(Bench& bench) {
  for (const jobs::ReferenceNetwork& reference : jobs::kReferenceNetworks) {
    const std::string name = reference.name;
    Network network(reference, bench.device());
    const Sizes sizes = sizes_of(name, bench.device());
    if (name == "cifar10") bench_optimizer(bench, network, name);
    for (const torch::ScalarType type : bench_types(bench.device())) {
      for (const std::int64_t n : sizes.forward) bench_forward(bench, network, name, n, type);
      for (const std::int64_t n : sizes.train) bench_training(bench, network, name, n, type);
    }
    if (name != "cifar10") continue;
    network.forget();
    bench_retrack(bench, network);
  }
  bench_graph_replay(bench);
}

const std::vector<BenchPart>& bench_parts() {
  static const std::vector<BenchPart> parts{{"peaks", &weights_of_peaks, &bench_peaks},
                                            {"copies", &weights_of_copies, &bench_copies},
                                            {"attention", &weights_of_attention, &bench_attention},
                                            {"networks", &weights_of_networks, &bench_networks}};
  return parts;
}

}  // namespace guda::worker
