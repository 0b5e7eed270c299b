// Memory of long jobs: it does not grow, and scoring needs little more than the widest place of the network.
#include <doctest/doctest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/tiny_study.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/profile/tensor_memory.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// Resident memory of this process in bytes.
std::int64_t resident() {
  std::ifstream file("/proc/self/statm");
  std::int64_t pages = 0;
  file >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

/// Resident memory after a tenth of the steps and after the last one.
struct Growth {
  std::int64_t early = 0, late = 0;
  std::function<void(const Progress&)> watch() {
    return [this](const Progress& p) {
      if (p.step == p.steps / 10) early = resident();
      if (p.step == p.steps) late = resident();
    };
  }
};

/// 100 bytes a step kept over 9,000 steps would be 0.9 MB.
constexpr std::int64_t kNoise = 700 << 10;

Json tiniest_model() {
  Json model = test::tiny_model();
  model["sample_size"] = 4;
  model["block_out_channels"] = {4, 4};
  model["dropout"] = 0.1;
  return model;
}

/// Digits at 4 x 4: every other pixel.
jobs::Dataset tiniest_dataset() {
  jobs::Dataset data = test::tiny_dataset();
  std::vector<std::uint8_t> small;
  for (std::size_t item = 0; item * 64 < data.pixels.size(); ++item) {
    for (std::size_t y = 0; y < 8; y += 2) {
      for (std::size_t x = 0; x < 8; x += 2) small.push_back(data.pixels[item * 64 + y * 8 + x]);
    }
  }
  data.pixels = small;
  data.shape = {1, 4, 4};
  return data;
}

}  // namespace

TEST_CASE("memory: ten thousand training steps need no more than one thousand") {
  at::set_num_threads(1);
  jobs::TrainSpec spec = test::tiny_training(10000);
  spec.model = tiniest_model();
  spec.training.batch = 2;
  spec.training.clip = 1;
  spec.training.ema_max_decay = 0.99;
  spec.training.horizontal_flip = true;
  Growth growth;
  (void)train(spec, tiniest_dataset(), {}, torch::kCPU, growth.watch());
  REQUIRE(growth.early > 0);
  CHECK(growth.late - growth.early < kNoise);
}

TEST_CASE("memory: ten thousand unlearning steps need no more than one thousand") {
  at::set_num_threads(1);
  const jobs::Dataset data = tiniest_dataset();
  UNet2D model = make_unet2d(tiniest_model(), 1);
  jobs::UnlearnSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.unlearn.op = "retrack_exact";
  spec.unlearn.steps = 10000;
  spec.unlearn.retain_batch = spec.unlearn.forget_batch = 1;
  spec.unlearn.neighbours = 3;
  Growth growth;
  (void)unlearn(model, UNet2D{nullptr}, spec, data, test::items_of(data, 3), 10, torch::kCPU, growth.watch());
  REQUIRE(growth.early > 0);
  CHECK(growth.late - growth.early < kNoise);
}

TEST_CASE("memory: ten thousand scoring batches need no more than one thousand") {
  at::set_num_threads(1);
  UNet2D model = make_unet2d(tiniest_model(), 1);
  model->eval();
  const torch::Tensor queries = torch::zeros({100, 1, 4, 4});
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("query/" + std::to_string(i));
  std::vector<jobs::Slot> slots;
  for (std::uint32_t i = 0; i < 200; ++i) slots.push_back({i % 100, i / 100, 1});
  Growth growth;
  (void)squared_errors(model, test::tiny_diffusion(), queries, names, slots, 2, 1, torch::kCPU, growth.watch());
  REQUIRE(growth.early > 0);
  CHECK(growth.late - growth.early < kNoise);
}

TEST_CASE("memory: scoring needs at most 1.5 times the largest activations of one batch") {
  at::set_num_threads(1);
  constexpr std::int64_t kBatch = 64, kPixels = 64;
  Json config = test::tiny_model();
  config["block_out_channels"] = {16, 32};
  UNet2D model = make_unet2d(config, 1);
  model->eval();
  const torch::Tensor queries = torch::zeros({kBatch, 1, 8, 8});
  std::vector<std::string> names;
  for (int i = 0; i < kBatch; ++i) names.push_back("query/" + std::to_string(i));
  const std::vector<jobs::Slot> slots{{10, 0, 1}, {20, 0, 1}, {30, 0, 1}};
  // The widest place: the first residual block of the last up block joins 32 channels with a skip of 16 at 8 x 8, and
  // its norm makes as much again, while the skip of the last one (16 channels) waits.
  const std::int64_t largest = kBatch * kPixels * (48 + 48 + 16) * std::int64_t{sizeof(float)};
  const TensorMemory memory;
  (void)squared_errors(model, test::tiny_diffusion(), queries, names, slots, kBatch, 1, torch::kCPU, test::no_progress);
  CHECK(memory.peak() >= largest);
  CHECK(memory.peak() < largest * 3 / 2);
  MESSAGE("peak / largest activations: ", double(memory.peak()) / double(largest));
}

TEST_CASE("memory: the meter counts what is made and freed while it lives, at its highest") {
  const torch::Tensor before = torch::zeros({1000});
  const TensorMemory memory;
  {
    const torch::Tensor a = torch::zeros({256}), b = torch::zeros({256});
    CHECK(memory.bytes() == 2048);
  }
  CHECK(memory.bytes() == 0);
  const torch::Tensor c = torch::zeros({128});
  CHECK(memory.bytes() == 512);
  CHECK(memory.peak() == 2048);
}
