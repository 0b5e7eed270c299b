#include "worker/diffusion/guidance.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "tests/support/tiny_styles.hpp"
#include "worker/diffusion/sampling.hpp"
#include "worker/diffusion/scoring.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

Denoiser tiny_model() {
  const Denoiser model = make_denoiser(test::tiny_text_model(), 3);
  model->eval();
  return model;
}

}  // namespace

TEST_CASE("guidance: e_u + g (e_c - e_u), both as the model says them alone; 0 is the prompt's own prediction") {
  const Denoiser model = tiny_model();
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({3, 4, 8, 8}), t = torch::tensor({5, 40, 90}, torch::kInt64);
  Prompted prompted{torch::randn({3, 8, 16}), torch::randn({1, 8, 16}), 7.5};
  const torch::NoGradGuard no_grad;
  const torch::Tensor with = model(x, t, {prompted.contexts, {}});
  const torch::Tensor without = model(x, t, {prompted.no_prompt.expand({3, 8, 16}), {}});
  const torch::Tensor wanted = without + 7.5 * (with - without);
  CHECK(torch::allclose(guided_output(model, x, t, prompted, prompted.contexts), wanted, 1e-4, 1e-4));
  prompted.guidance = 0;
  CHECK(torch::equal(guided_output(model, x, t, prompted, prompted.contexts), with));
  prompted.guidance = 1;
  CHECK(torch::allclose(guided_output(model, x, t, prompted, prompted.contexts), with, 1e-4, 1e-5));
}

TEST_CASE("guided sampling: a query is its name's and its prompt's, alone and among others up to rounding") {
  at::set_num_threads(1);
  const Denoiser model = tiny_model();
  jobs::Dataset data = test::tiny_styled_dataset();
  data.shape = {4, 8, 8};  // no autoencoder: the model draws what it sees
  torch::manual_seed(1);
  TextToImage how;
  how.prompted = {torch::randn({5, 8, 16}), torch::randn({1, 8, 16}), 2};
  jobs::SampleSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.set.sampler = {.kind = "dpmsolver++", .steps = 8, .clamp = false, .grey_levels = 0, .batch = 4};
  spec.names = {"a", "b", "c", "d", "e"};
  const torch::Tensor all = sample_images(model, spec, data, torch::kCPU, no_progress, how);
  CHECK(torch::equal(all, sample_images(model, spec, data, torch::kCPU, no_progress, how)));
  jobs::SampleSpec one = spec;
  one.names = {"e"};
  TextToImage alone = how;
  alone.prompted.contexts = how.prompted.contexts.narrow(0, 4, 1);
  const torch::Tensor last = sample_images(model, one, data, torch::kCPU, no_progress, alone);
  CHECK(torch::allclose(all[4], last[0], 1e-3, 1e-4));
  alone.prompted.contexts = how.prompted.contexts.narrow(0, 0, 1);
  CHECK_FALSE(torch::allclose(all[4], sample_images(model, one, data, torch::kCPU, no_progress, alone)[0], 1e-2, 1e-2));
}

TEST_CASE("scoring under prompts: every query is asked under its own, whatever the batch") {
  at::set_num_threads(1);
  const Denoiser model = tiny_model();
  torch::manual_seed(2);
  const torch::Tensor x0 = torch::randn({3, 4, 8, 8}), contexts = torch::randn({3, 8, 16});
  const std::vector<std::string> names{"a", "b", "c"};
  const std::vector<jobs::Slot> slots{{10, 0, 1.0}, {50, 0, 1.0}};
  const auto score = [&](std::int64_t first, std::int64_t count, std::uint32_t batch) {
    return squared_errors(model, test::tiny_diffusion(), x0.narrow(0, first, count),
                          std::span(names).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
                          slots, batch, 7, torch::kCPU, no_progress, contexts.narrow(0, first, count));
  };
  const auto all = score(0, 3, 4), last = score(2, 1, 4), other = score(0, 3, 16);
  for (std::size_t i = 0; i < 2; ++i) CHECK(all[4 + i] == doctest::Approx(last[i]).epsilon(1e-5));
  for (std::size_t i = 0; i < 6; ++i) CHECK(all[i] == doctest::Approx(other[i]).epsilon(1e-5));
  const auto swapped = squared_errors(model, test::tiny_diffusion(), x0, names, slots, 4, 7, torch::kCPU, no_progress,
                                      contexts.flip({0}));
  CHECK(swapped[0] != doctest::Approx(all[0]).epsilon(1e-6));
}
