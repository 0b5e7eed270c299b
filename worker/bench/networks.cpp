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
#include "worker/device/device_health.hpp"
#include "worker/models/denoiser.hpp"
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

  [[nodiscard]] double seconds_to_build(torch::ScalarType type) const {
    return model_ && type_ == type ? 0 : kBuild * parameters;
  }
  Denoiser model(torch::ScalarType type) {
    if (!model_ || type_ != type) {
      model_ = make_denoiser(config, 1);
      (*model_)->to(device_, type);
      type_ = type;
    }
    return *model_;
  }
  void forget() { model_.reset(); }

  struct Inputs {
    torch::Tensor x, t;
    Condition condition;
  };
  [[nodiscard]] Inputs inputs(std::int64_t batch, torch::ScalarType type) const {
    const auto options = torch::TensorOptions().dtype(type).device(device_);
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
  torch::ScalarType type_ = torch::kFloat32;
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

void bench_forward(Bench& bench, Network& network, const std::string& name, std::int64_t batch,
                   torch::ScalarType type) {
  const double flops = 2 * network.macs * double(batch);
  const double size = double(torch::elementSize(type));
  bench.measure({.head = {{"name", name + " forward"}, {"network", name}, {"batch", batch}, {"dtype", type_name(type)}},
                 .expected = network.seconds_to_build(type) + kPessimism * 2 * flops / bench.peak(type_name(type)),
                 .memory = 4 * network.parameters + size * network.activations.forward * double(batch),
                 .flops = flops,
                 .items = double(batch),
                 .unit = "forwards/s",
                 .make = [&]() -> std::function<void()> {
                   const Denoiser model = network.model(type);
                   model->eval();
                   const auto in = network.inputs(batch, type);
                   return [model, in, device = bench.device()] {
                     const c10::InferenceMode inference;
                     (void)model(in.x, in.t, in.condition);
                     synchronize(device);
                   };
                 }});
}

/// Forward, backward, clipping, AdamW and EMA on given images: the UNet's part of a training step.
void bench_training(Bench& bench, Network& network, const std::string& name, std::int64_t batch,
                    torch::ScalarType type) {
  const double flops = 6 * network.macs * double(batch);
  bench.measure(
      {.head = {{"name", name + " training"}, {"network", name}, {"batch", batch}, {"dtype", type_name(type)}},
       .expected = network.seconds_to_build(type) + kPessimism * 2 * flops / bench.peak(type_name(type)) +
                   2 * 1e-9 * network.parameters,
       .memory = 4 * (5 * network.parameters + network.activations.backward * double(batch)),
       .flops = flops,
       .items = double(batch),
       .unit = "images/s",
       .make = [&]() -> std::function<void()> {
         const Denoiser model = network.model(type);
         model->train();
         const auto optimizer = std::make_shared<AdamW>(model->parameters(), jobs::OptimizerConfig{}, 1.0);
         const auto ema = std::make_shared<Ema>(model->parameters(), 0.9999);
         const auto in = network.inputs(batch, type);
         return [model, optimizer, ema, in, device = bench.device()] {
           const torch::Tensor loss = torch::mse_loss(model(in.x, in.t, in.condition), in.x);
           loss.backward();
           optimizer->step(1e-5);
           ema->step();
           synchronize(device);
         };
       }});
}

void bench_optimizer(Bench& bench, Network& network, const std::string& name) {
  // Reads weight, gradient, both moments and the average, writes all but the gradient.
  const double bytes = 9 * 4 * network.parameters;
  bench.measure({.head = {{"name", name + " clip + AdamW + EMA"}, {"network", name}, {"dtype", "float32"}},
                 .expected = network.seconds_to_build(torch::kFloat32) + 4 * bytes / 2e9,
                 .memory = 24 * network.parameters,
                 .bytes = bytes,
                 .make = [&]() -> std::function<void()> {
                   const Denoiser model = network.model(torch::kFloat32);
                   const auto optimizer = std::make_shared<AdamW>(model->parameters(), jobs::OptimizerConfig{}, 1.0);
                   const auto ema = std::make_shared<Ema>(model->parameters(), 0.9999);
                   auto gradients = std::make_shared<std::vector<torch::Tensor>>();
                   for (const torch::Tensor& p : model->parameters()) gradients->push_back(torch::full_like(p, 1e-3));
                   return [model, optimizer, ema, gradients, device = bench.device()] {
                     std::size_t i = 0;
                     for (torch::Tensor& p : model->parameters()) p.mutable_grad() = (*gradients)[i++];
                     optimizer->step(1e-5);
                     ema->step();
                     synchronize(device);
                   };
                 }});
}

/// A step as an Unlearn job does it, from the end of its first, which also finds the neighbours.
void bench_retrack(Bench& bench, Network& network) {
  const double allowance = bench.allowance();
  const double build = kBuild * network.parameters;
  std::int64_t rows = 0;
  for (const std::int64_t candidate : kRetrack) {
    const double seconds = build + kPessimism * 3 * 12 * network.macs * double(candidate) / bench.peak("float32");
    if (rows == 0 && seconds < allowance) rows = candidate;
  }
  Json head{{"name", "cifar10 retrack step"}, {"network", "cifar10"}, {"dtype", "float32"}};
  if (rows == 0) {
    head["skipped"] = fmt::format("a step on 2 + 2 images would not fit in {:.2g} s", allowance);
    return bench.add(std::move(head));
  }
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
  struct Enough {};
  const double begin = steady_seconds();
  std::vector<double> ends;
  const Denoiser model = make_denoiser(network.config, 1);
  model->to(bench.device());
  try {
    (void)unlearn(model, {}, spec, data, removed, 2, bench.device(), [&](const Progress& p) {
      if (p.step == 0) return;
      synchronize(bench.device());
      ends.push_back(steady_seconds());
      const double last = ends.size() > 1 ? ends.back() - ends[ends.size() - 2] : 0;
      if (ends.size() > 20 || (ends.size() > 1 && ends.back() - begin + last > allowance)) throw Enough{};
    });
  } catch (const Enough&) {
  } catch (const std::exception& e) {
    head["skipped"] = std::string("failed: ") + e.what();
    return bench.add(std::move(head));
  }
  std::vector<double> steps;
  for (std::size_t i = 1; i < ends.size(); ++i) steps.push_back(ends[i] - ends[i - 1]);
  std::sort(steps.begin(), steps.end());
  const double median = steps[steps.size() / 2], flops = 12 * network.macs * double(rows);
  head["batch"] = 2 * rows;
  head["seconds"] = median;
  head["spread"] = (steps.back() - steps.front()) / median;
  head["times"] = steps.size();
  head["flops"] = flops;
  head["flops_per_second"] = flops / median;
  head["share_of_peak"] = flops / median / bench.peak("float32");
  head["per_second"] = 2 * double(rows) / median;
  head["unit"] = "images/s";
  bench.add(std::move(head));
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
  bench.leave_out(Json::object({{"name", "graph replay"}}),
                  bench.device().is_cpu() ? "CUDA only" : "this build of guda-worker has no graphs");
}

const std::vector<BenchPart>& bench_parts() {
  static const std::vector<BenchPart> parts{{"peaks", &weights_of_peaks, &bench_peaks},
                                            {"copies", &weights_of_copies, &bench_copies},
                                            {"attention", &weights_of_attention, &bench_attention},
                                            {"networks", &weights_of_networks, &bench_networks}};
  return parts;
}

}  // namespace guda::worker
