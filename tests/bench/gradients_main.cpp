// Gradients of single images of the digits network and their projection, one thread. Reads a word a line, measures once
// and answers with processor microseconds an image: single (autograd, image by image), batched, or a projection to
// 4,096 numbers (sjlt, rademacher, gaussian), which counts batched gradients and projection together. ./run bench
// gradients
#include <ATen/Parallel.h>
#include <time.h>
#include <torch/torch.h>

#include <iostream>
#include <string>

#include "worker/attribution/projection.hpp"
#include "worker/attribution/sample_gradients.hpp"
#include "worker/keep_memory.hpp"
#include "worker/models/unet2d.hpp"

namespace {

using namespace guda::worker;

constexpr std::int64_t kImages = 64;
constexpr std::uint32_t kDimension = 4096;

/// Processor seconds of this thread: other work on the machine does not count.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

struct Work {
  UNet2D model = make_unet2d({{"sample_size", 8},
                              {"in_channels", 1},
                              {"out_channels", 1},
                              {"block_out_channels", {16, 32}},
                              {"layers_per_block", 1},
                              {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
                              {"up_block_types", {"UpBlock2D", "UpBlock2D"}},
                              {"norm_num_groups", 8},
                              {"add_attention", false}},
                             1);
  torch::Tensor x = torch::randn({kImages, 1, 8, 8}), noise = torch::randn({kImages, 1, 8, 8});
  torch::Tensor t = torch::randint(1000, {kImages}, torch::kInt64);

  [[nodiscard]] torch::Tensor losses(std::int64_t first, std::int64_t count) {
    const torch::Tensor predicted = model->forward(x.narrow(0, first, count), t.narrow(0, first, count));
    return (predicted - noise.narrow(0, first, count)).square().flatten(1).mean(1);
  }
  void do_once(const std::string& what) {
    if (what == "single") {
      const std::vector<torch::Tensor> parameters = model->parameters();
      for (std::int64_t i = 0; i < kImages; ++i) (void)torch::autograd::grad({losses(i, 1).sum()}, parameters);
      return;
    }
    SampleGradients gradients(*model);
    const torch::Tensor matrix = gradients.matrix(kImages, 1, [&] { return losses(0, kImages); });
    if (what != "batched") (void)Projection(what, kDimension, 1).apply(matrix);
  }
};

}  // namespace

int main() {
  keep_freed_memory();  // as a worker does
  at::set_num_threads(1);
  Work work;
  work.model->eval();
  for (std::string what; std::getline(std::cin, what);) {
    const double begin = cpu_seconds();
    work.do_once(what);
    std::cout << (cpu_seconds() - begin) / kImages * 1e6 << std::endl;
  }
}
