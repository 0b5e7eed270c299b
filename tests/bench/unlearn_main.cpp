// Times ReTrack steps and the search for neighbours on images of CIFAR-10's size. Prints one JSON line; ./run bench
// unlearn
//   guda_bench_unlearn FOLDER|- MODEL.json STEPS ROWS THREADS   ReTrack steps of 128 + 128 images, 10 neighbours; ROWS
//                                                               of them at once (resources.micro_batch; 0: all)
//   guda_bench_unlearn FOLDER|- neighbours THREADS              1,000 x 9,000 images with mirrors
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <time.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "common/files.hpp"
#include "common/json.hpp"
#include "jobs/dataset.hpp"
#include "worker/keep_memory.hpp"
#include "worker/training/images.hpp"
#include "worker/unlearn/neighbours.hpp"
#include "worker/unlearn/unlearner.hpp"

namespace {

using guda::Json;
using namespace guda::worker;

constexpr std::uint32_t kItems = 10000, kForget = 1000, kSide = 32;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Processor seconds of all threads: other work on the machine hardly shows in it.
double processor() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

/// Where there are no photographs: smooth images, whose distances spread as those of photographs do.
guda::jobs::Dataset smooth_images() {
  torch::manual_seed(7);
  torch::Tensor images = torch::zeros({kItems, 3, kSide, kSide});
  for (const std::int64_t side : {2, 4, 8, 16}) {
    const torch::Tensor coarse = torch::randn({kItems, 3, side, side}) * (2.0 / std::sqrt(double(side)));
    images += torch::upsample_bilinear2d(coarse, {kSide, kSide}, false);
  }
  const torch::Tensor bytes = ((images.tanh() + 1) * 127.5).round().to(torch::kUInt8).contiguous();
  guda::jobs::Dataset data;
  data.shape = {3, kSide, kSide};
  data.pixels.assign(bytes.data_ptr<std::uint8_t>(), bytes.data_ptr<std::uint8_t>() + bytes.numel());
  for (std::uint32_t i = 0; i < kItems; ++i) data.labels.push_back(i % 10), data.train.push_back(i);
  for (int c = 0; c < 10; ++c) data.class_names.push_back(std::to_string(c));
  return data;
}

guda::jobs::Dataset images(const std::string& folder) {
  if (folder == "-") return smooth_images();
  guda::jobs::DatasetConfig config;
  config.kind = "cifar10";
  config.path = folder;
  config.train = kItems;
  return guda::jobs::load_dataset(config);
}

std::vector<std::uint32_t> of_class_0(const guda::jobs::Dataset& data) {
  std::vector<std::uint32_t> items;
  for (const std::uint32_t item : data.train)
    if (data.labels[item] == 0) items.push_back(item);
  std::sort(items.begin(), items.end());
  return items;
}

Json time_neighbours(const guda::jobs::Dataset& data) {
  std::vector<std::uint32_t> forget(data.train.begin(), data.train.begin() + kForget),
      retain(data.train.begin() + kForget, data.train.end());
  const torch::Tensor a = gather_images(data, forget), b = gather_images(data, retain);
  double best = 1e9, least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double begin = now(), began = processor();
    (void)nearest_neighbours_mirrored(a.flatten(1), a.flip({3}).flatten(1), b.flatten(1), 10);
    best = std::min(best, now() - begin);
    least = std::min(least, processor() - began);
  }
  return {{"seconds", best},
          {"processor_seconds", least},
          {"queries", a.size(0)},
          {"items", b.size(0)},
          {"dimension", a[0].numel()}};
}

/// Processor seconds of a step: from the end of the first, which also finds the neighbours, to the end of the last.
Json time_steps(const guda::jobs::Dataset& data, const Json& config, std::uint32_t steps, std::uint32_t rows_at_once) {
  UNet2D model = make_unet2d(config, 1);
  guda::jobs::UnlearnSpec spec;
  spec.diffusion.timesteps = 4000;
  spec.unlearn.op = "retrack_exact";
  spec.unlearn.steps = steps + 1;
  spec.unlearn.retain_batch = 128;
  spec.unlearn.forget_batch = 128;
  spec.unlearn.neighbours = 10;
  spec.unlearn.horizontal_flip = true;
  spec.unlearn.forget_weight = 0.03;
  spec.micro_batch = rows_at_once;
  double first = 0, last = 0;
  const std::vector<std::uint32_t> removed = of_class_0(data);
  unlearn(model, UNet2D{nullptr}, spec, data, removed, 10, torch::kCPU, [&](const Progress& p) {
    if (p.step == 1) first = processor();
    last = processor();
  });
  return {{"processor_seconds_per_step", (last - first) / steps}, {"steps", steps}, {"threads", at::get_num_threads()}};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 3) {
    fmt::print(stderr, "usage: {} FOLDER|- (MODEL.json STEPS ROWS | neighbours) THREADS\n", argv[0]);
    return 2;
  }
  keep_freed_memory();  // as a worker does
  at::set_num_threads(std::stoi(words.back()));
  const guda::jobs::Dataset data = images(words[0]);
  const Json result = words[1] == "neighbours" ? time_neighbours(data)
                                               : time_steps(data, Json::parse(guda::read_file(words[1])),
                                                            static_cast<std::uint32_t>(std::stoul(words.at(2))),
                                                            static_cast<std::uint32_t>(std::stoul(words.at(3))));
  fmt::print("{}\n", result.dump());
}
