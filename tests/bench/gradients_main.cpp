// Times gradients of single images of the digits network: batched, and autograd on one image after the other. Prints
// one JSON line; ./run bench gradients
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <time.h>
#include <torch/torch.h>

#include "common/json.hpp"
#include "worker/attribution/projection.hpp"
#include "worker/attribution/sample_gradients.hpp"

namespace {

using guda::Json;
using namespace guda::worker;

constexpr std::int64_t kImages = 64;

/// Processor seconds of this thread: other work on the machine does not count.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

template <class Work>
double best_of(int times, const Work& work) {
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const double begin = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - begin);
  }
  return best;
}

}  // namespace

int main() {
  at::set_num_threads(1);
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
  model->eval();
  const torch::Tensor x = torch::randn({kImages, 1, 8, 8}), noise = torch::randn({kImages, 1, 8, 8});
  const torch::Tensor t = torch::randint(1000, {kImages}, torch::kInt64);
  const auto losses = [&](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor& noise) {
    return (model->forward(x, t) - noise).square().flatten(1).mean(1);
  };
  const double single = best_of(3, [&] {
    const std::vector<torch::Tensor> parameters = model->parameters();
    for (std::int64_t i = 0; i < kImages; ++i)
      (void)torch::autograd::grad({losses(x.narrow(0, i, 1), t.narrow(0, i, 1), noise.narrow(0, i, 1)).sum()},
                                  parameters);
  });
  torch::Tensor matrix;
  SampleGradients gradients(model);
  const double batched =
      best_of(5, [&] { matrix = gradients.matrix(kImages, 1, [&] { return losses(x, t, noise); }); });
  Json out{{"images", kImages},
           {"weights", gradients.weights()},
           {"one_by_one_us", single / kImages * 1e6},
           {"batched_us", batched / kImages * 1e6},
           {"projections", Json::array()}};
  for (const std::string kind : {"sjlt", "rademacher", "gaussian"}) {
    const Projection projection(kind, 4096, 1);
    const double seconds = best_of(2, [&] { (void)projection.apply(matrix); });
    out["projections"].push_back({{"kind", kind}, {"dimension", 4096}, {"us", seconds / kImages * 1e6}});
  }
  fmt::print("{}\n", out.dump());
}
