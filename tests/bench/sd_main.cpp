// Forwards and loading of a UNet2DConditionModel as a worker does them. Reads lines and answers each with a number:
// "forward COUNT" and "profile COUNT" wall seconds of a forward of one image and 77 tokens (profile: the largest costs
// go to stderr), "save FOLDER" writes the network, "load FOLDER" wall seconds of reading it back, "read FOLDER" those
// of reading the file's bytes into memory. ./run bench sd-forward sd-load
//   guda_bench_sd MODEL.json THREADS
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "worker/keep_memory.hpp"
#include "worker/models/unet2d_condition.hpp"
#include "worker/models/weights.hpp"
#include "worker/profile/costs.hpp"
#include "worker/profile/recorder.hpp"

namespace {

using namespace guda;
using namespace guda::worker;

double forwards(UNet2DCondition& model, int count, bool profiled) {
  const c10::InferenceMode inference;
  const UNet2DConditionConfig& c = model->config();
  const auto side = static_cast<std::int64_t>(c.sample_size ? c.sample_size->at(0) : 64);
  const torch::Tensor x = torch::randn({1, c.in_channels, side, side}), t = torch::full({1}, 500, torch::kLong),
                      context = torch::randn({1, 77, c.cross_attention_dim.front()});
  const double processor = process_cpu_seconds(), begin = steady_seconds();
  if (!profiled) {
    for (int i = 0; i < count; ++i) (void)model(x, t, context);
    return (steady_seconds() - begin) / count;
  }
  SpanRecorder recorder;
  for (int i = 0; i < count; ++i) (void)model(x, t, context);
  const double took = (steady_seconds() - begin) / count;
  const auto costs = costs_of(recorder.stop(), recorder.overhead());
  fmt::print(stderr, "{}", cost_table(costs, 40, static_cast<std::uint64_t>(count), process_cpu_seconds() - processor));
  return took;
}

/// The whole file into pieces of memory as weights have it: kept by the allocator, so that pages are new the first time
/// only.
double read_seconds(const std::filesystem::path& file) {
  constexpr std::size_t kPiece = 64 << 20;
  const std::size_t size = std::filesystem::file_size(file);
  const Fd fd = open_file(file, O_RDONLY);
  const double begin = steady_seconds();
  std::vector<torch::Tensor> pieces;
  for (std::size_t at = 0; at < size; at += kPiece) {
    const std::size_t wanted = std::min(size - at, kPiece);
    pieces.push_back(torch::empty({static_cast<std::int64_t>(wanted)}, torch::kByte));
    if (::pread(fd.get(), pieces.back().data_ptr(), wanted, static_cast<off_t>(at)) != static_cast<ssize_t>(wanted))
      throw Error("cannot read " + file.string());
  }
  return steady_seconds() - begin;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: {} MODEL.json THREADS\n", argv[0]);
    return 2;
  }
  const Json config = Json::parse(read_file(argv[1]));
  at::set_num_threads(std::stoi(argv[2]));
  UNet2DCondition model{nullptr};
  const auto made = [&]() -> UNet2DCondition& {
    if (model.is_empty()) model = make_unet2d_condition(config, 1), model->eval();
    return model;
  };
  for (std::string what, word; std::cin >> what >> word;) {
    double answer = 0;
    if (what == "forward" || what == "profile") {
      answer = forwards(made(), std::stoi(word), what == "profile");
    } else if (what == "save") {
      save_unet2d_condition(made(), config, word);
      model = nullptr;
    } else if (what == "load") {
      const double begin = steady_seconds();
      const UNet2DCondition loaded = load_unet2d_condition(word);
      answer = steady_seconds() - begin;
    } else if (what == "read") {
      answer = read_seconds(std::filesystem::path(word) / (std::string(kDiffusersWeights) + ".safetensors"));
    } else {
      fmt::print(stderr, "unknown: {}\n", what);
      return 2;
    }
    std::cout << answer << std::endl;
  }
}
