#include "worker/training/autoencoder_trainer.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "jobs/autoencoder_model.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/training/images.hpp"
#include "worker/training/latent_table.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

jobs::TrainSpec tiny_spec(std::uint32_t steps) {
  jobs::AutoencoderConfig config;
  config.block_out_channels = {8, 8};
  jobs::TrainSpec spec;
  spec.model = jobs::autoencoder_model(config, {1, 16, 16});
  spec.training.steps = steps;
  spec.training.batch = 16;
  spec.training.warmup_steps = 2;
  spec.kl_weight = 1e-6;
  return spec;
}

}  // namespace

TEST_CASE("autoencoder training: pictures come back better than their mean, latents have a standard deviation of 1") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_styled_dataset();
  TrainedAutoencoder trained = train_autoencoder(tiny_spec(120), data, torch::kCPU, no_progress);
  CHECK(trained.last_loss < 0.5 * trained.first_loss);
  const torch::Tensor images = gather_images(data, data.train);
  const LatentTable latents = encode_images(trained.model, images, true, torch::kCPU, [] {});
  CHECK(latents.mean.sizes() == at::IntArrayRef{64, 4, 8, 8});
  CHECK((latents.mean * latents.scale).std(false).item<double>() == doctest::Approx(1).epsilon(1e-4));
  const torch::NoGradGuard no_grad;
  const double error = (trained.model->decode(latents.mean) - images).square().mean().item<double>();
  const double variance = (images - images.mean(0)).square().mean().item<double>();
  CHECK(error < 0.5 * variance);
  CHECK(torch::allclose(latents.mirrored_mean, trained.model->encode(images.flip({3})).mean, 1e-4, 1e-5));
}

TEST_CASE("autoencoder training: interrupted and resumed it ends with the same bits, in parts nearly so") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_styled_dataset();
  jobs::TrainSpec spec = tiny_spec(9);
  const TrainedAutoencoder whole = train_autoencoder(spec, data, torch::kCPU, no_progress);
  const TrainedAutoencoder pieces = test::in_pieces({1, 4, 9}, [&](const auto& progress, JobCheckpoints& checkpoints) {
    return train_autoencoder(spec, data, torch::kCPU, progress, &checkpoints);
  });
  const auto a = whole.model->parameters(), b = pieces.model->parameters();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(torch::equal(a[i], b[i]));
  CHECK(whole.model->config().scaling_factor == pieces.model->config().scaling_factor);
  spec.micro_batch = 5;
  const TrainedAutoencoder parts = train_autoencoder(spec, data, torch::kCPU, no_progress);
  CHECK(parts.last_loss == doctest::Approx(whole.last_loss).epsilon(1e-4));
}
