// Scoring and training of a given UNet on one thread, as a worker does them. Reads lines "score BATCH BATCHES" and
// "train BATCH STEPS", and answers each with processor microseconds an image; the first batch or step of each line is
// warm-up and comes on top. "save FOLDER" writes the network, untrained, as a diffusers folder. ./run bench models
// growth worker-start
//   guda_bench_models MODEL.json
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/keep_memory.hpp"
#include "worker/training/trainer.hpp"

namespace {

using namespace guda;
using namespace guda::worker;

constexpr std::uint32_t kItems = 512, kSlots = 50;

jobs::Dataset noisy_images(const Json& model) {
  const auto side = model.at("sample_size").get<std::uint32_t>(),
             channels = model.at("in_channels").get<std::uint32_t>();
  jobs::Dataset data;
  data.shape = {channels, side, side};
  for (std::uint32_t i = 0; i < kItems * channels * side * side; ++i)
    data.pixels.push_back(static_cast<std::uint8_t>(i * 2654435761U >> 24));
  for (std::uint32_t i = 0; i < kItems; ++i) data.labels.push_back(0), data.train.push_back(i);
  data.class_names = {"0"};
  return data;
}

/// Processor seconds between the end of the first step and that of the last.
struct Between {
  double first = 0, last = 0;
  std::function<void(const Progress&)> watch() {
    return [this](const Progress& p) {
      if (p.step == 1) first = process_cpu_seconds();
      last = process_cpu_seconds();
    };
  }
};

double scored(UNet2D& model, const jobs::Dataset& data, std::uint32_t batch, std::uint32_t batches) {
  const std::uint32_t queries = (batch * (batches + 1) + kSlots - 1) / kSlots;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < queries; ++i) names.push_back(std::to_string(i));
  std::vector<jobs::Slot> slots;
  for (std::uint32_t i = 0; i < kSlots; ++i) slots.push_back({10 + 19 * i, 0, 1});
  const auto [channels, height, width] = data.shape;
  Between time;
  std::uint64_t done = 0;
  const auto watch = time.watch();
  (void)squared_errors(model, {}, torch::randn({queries, channels, height, width}), names, slots, batch, 1, torch::kCPU,
                       [&](const Progress& p) {
                         if (p.step <= batches + 1) watch(p), done = p.step;
                       });
  return (time.last - time.first) / double((done - 1) * batch);
}

double trained(const Json& model, const jobs::Dataset& data, std::uint32_t batch, std::uint32_t steps) {
  jobs::TrainSpec spec;
  spec.model = model;
  spec.training.batch = batch;
  spec.training.steps = steps + 1;
  spec.training.clip = 1;
  spec.training.ema_max_decay = 0.9999;
  Between time;
  (void)train(spec, data, {}, torch::kCPU, time.watch());
  return (time.last - time.first) / double(steps * batch);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: {} MODEL.json\n", argv[0]);
    return 2;
  }
  keep_freed_memory();
  at::set_num_threads(1);
  const Json config = Json::parse(read_file(argv[1]));
  const jobs::Dataset data = noisy_images(config);
  UNet2D model = make_unet2d(config, 1);
  model->eval();
  for (std::string what, first; std::cin >> what >> first;) {
    if (what == "save") {
      save_unet2d(model, config, first);
      std::cout << 0 << std::endl;
      continue;
    }
    const auto batch = static_cast<std::uint32_t>(std::stoul(first));
    std::uint32_t count = 0;
    std::cin >> count;
    const double seconds = what == "score" ? scored(model, data, batch, count) : trained(config, data, batch, count);
    std::cout << 1e6 * seconds << std::endl;
  }
}
