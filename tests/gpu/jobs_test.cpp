#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "common/error.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_study.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/attribution/gradient_features.hpp"
#include "worker/diffusion/gpu_scoring.hpp"
#include "worker/diffusion/sampling.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/training/fit.hpp"
#include "worker/training/images.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/operators.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

/// Largest difference of any parameter, relative to its largest value.
double weights_apart(const Denoiser& a, const Denoiser& b) {
  const auto left = a->parameters(), right = b->parameters();
  double most = 0;
  for (std::size_t i = 0; i < left.size(); ++i) most = std::max(most, test::difference(left[i], right[i]));
  return most;
}

/// A tiny training whose steps are smooth in the gradient: AdamW's usual eps would make whole steps of what rounding
/// leaves of gradients that are 0, as those of a bias before a norm.
jobs::TrainSpec smooth_training(std::uint32_t steps) {
  jobs::TrainSpec spec = test::tiny_training(steps);
  spec.training.optimizer.eps = 1e-3;
  return spec;
}

/// A tiny model trained on the device by fit() itself, which can be told to make no graphs.
torch::Tensor fitted(torch::Device device, bool graphs, double dropout = 0) {
  Json config = test::tiny_model();
  config["dropout"] = dropout;
  UNet2D model = make_unet2d(config, 3);
  move_to(*model, device);
  const jobs::Dataset data = test::tiny_dataset();
  Examples examples(data);
  examples.move_to(device);
  FitOptions options;
  options.config = test::tiny_training(12).training;
  options.device = device;
  options.graphs = graphs;
  const DrawBatch draw = [&](std::uint64_t step) {
    TrainingBatch batch;
    for (std::uint32_t i = 0; i < options.config.batch; ++i) {
      batch.items.push_back(data.train[(step * 7 + i) % data.train.size()]);
      batch.timesteps.push_back(static_cast<std::uint32_t>((step + 6 * i) % 100));
    }
    batch.inputs = {examples.pixels(batch.items), to_tensor(batch.timesteps)};
    return batch;
  };
  const RowLosses losses = [&](std::span<const torch::Tensor> in) {
    return (model(in[0], in[1], torch::Tensor()) - in[0]).square().mean({1, 2, 3});
  };
  TrainedParameters trained(*model, {}, SeedPath(0));
  (void)fit(*model, trained, draw, losses, options, no_progress);
  std::vector<torch::Tensor> flat;
  for (const torch::Tensor& p : model->parameters()) flat.push_back(p.detach().flatten().cpu());
  return torch::cat(flat);
}

struct Queries {
  jobs::Dataset data = test::tiny_dataset();
  torch::Tensor images = gather_images(data, std::span(data.held_out).first(13));
  std::vector<std::string> names;
  std::vector<jobs::Slot> slots;
  Queries() {
    for (int i = 0; i < 13; ++i) names.push_back("real/" + std::to_string(i));
    for (const bool negated : {false, true}) {
      for (const std::uint32_t t : {5U, 35U, 65U, 95U}) slots.push_back({t, 1, 0, negated});
    }
  }
  [[nodiscard]] std::vector<float> score(const Denoiser& model, torch::Device device,
                                         const std::string& prediction = "epsilon") const {
    jobs::DiffusionConfig diffusion = test::tiny_diffusion();
    diffusion.prediction = prediction;
    move_to(model.module(), device);
    model->eval();
    return squared_errors(model, diffusion, images, names, slots, 16, 7, device, no_progress);
  }
};

double apart(const std::vector<float>& a, const std::vector<float>& b) {
  return test::difference(torch::tensor(a), torch::tensor(b));
}

}  // namespace

TEST_CASE("gpu training: the CPU's model but for rounding, from the same images, timesteps and noise") {
  const jobs::Dataset data = test::tiny_dataset();
  const jobs::TrainSpec spec = smooth_training(10);
  const Trained cpu = train(spec, data, {}, torch::kCPU, no_progress);
  const torch::Device device = test::gpu();
  Examples examples(data);
  examples.move_to(device);
  const Trained gpu = train(spec, examples, {}, device, no_progress);
  CHECK(std::abs(gpu.last_loss / cpu.last_loss - 1) < 1e-4);
  CHECK(weights_apart(gpu.model, cpu.model) < 1e-3);
}

TEST_CASE("gpu training: a replayed graph computes what eager steps do, dropout too") {
  const torch::Device device = test::gpu();
  for (const double dropout : {0.0, 0.3}) {
    CAPTURE(dropout);
    CHECK(torch::equal(fitted(device, true, dropout), fitted(device, false, dropout)));
  }
}

TEST_CASE("gpu training: the deterministic mode gives the same bits again, and in one go what it gives in pieces") {
  const torch::Device device = test::gpu();
  const jobs::Dataset data = test::tiny_dataset();
  Examples examples(data);
  examples.move_to(device);
  jobs::TrainSpec spec = test::tiny_training(16);
  spec.model["dropout"] = 0.2;
  const Trained whole = train(spec, examples, {}, device, no_progress);
  CHECK(test::same_weights(whole.model, train(spec, examples, {}, device, no_progress).model));
  const auto attempt = [&](const auto& progress, JobCheckpoints& checkpoints) {
    return train(spec, examples, {}, device, progress, &checkpoints);
  };
  CHECK(test::same_weights(whole.model, test::in_pieces({2, 9}, attempt).model));
}

TEST_CASE("gpu training: texts, latents and parts of a batch") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  jobs::TrainSpec spec = smooth_training(6);
  spec.model = test::tiny_text_model();
  spec.caption_dropout = 0.2;
  spec.training.horizontal_flip = true;
  Examples examples(data, test::tiny_latents(data), test::tiny_texts(data));
  const Trained cpu = train(spec, examples, {}, torch::kCPU, no_progress);
  const torch::Device device = test::gpu();
  examples.move_to(device);
  CHECK(weights_apart(train(spec, examples, {}, device, no_progress).model, cpu.model) < 1e-3);
  spec.micro_batch = 5;
  CHECK(weights_apart(train(spec, examples, {}, device, no_progress).model, cpu.model) < 1e-3);
}

TEST_CASE("gpu training: a loss that is not finite ends it with the step's rows") {
  const torch::Device device = test::gpu();
  const jobs::Dataset data = test::tiny_dataset();
  Examples examples(data);
  examples.move_to(device);
  jobs::TrainSpec spec = test::tiny_training(12);
  spec.training.optimizer.lr = 1e18;
  spec.training.clip = 0;
  spec.training.warmup_steps = 0;
  CHECK_THROWS_WITH_AS((void)train(spec, examples, {}, device, no_progress), doctest::Contains("the loss is"),
                       DivergenceError);
}

TEST_CASE("gpu scoring: the CPU's squared errors, for every prediction type and with negated noise") {
  const Queries q;
  for (const char* prediction : {"epsilon", "v_prediction", "sample"}) {
    CAPTURE(prediction);
    const UNet2D model = make_unet2d(test::tiny_model(), 3);
    const auto cpu = q.score(model, torch::kCPU, prediction);
    CHECK(apart(q.score(model, test::gpu(), prediction), cpu) < 1e-5);
  }
}

TEST_CASE("gpu scoring: replayed batches have the bits of eager ones, whatever the block") {
  const torch::Device device = test::gpu();
  if (device.is_cpu()) return;
  const Queries q;
  const Denoiser model = make_unet2d(test::tiny_model(), 3);
  const auto graph = q.score(model, device);
  const jobs::NoiseSchedule schedule(test::tiny_diffusion());
  const auto eager = gpu_squared_errors(model, Prediction::epsilon, schedule, q.images, q.names, q.slots, 16, 7, device,
                                        no_progress, {}, /*graphs=*/false);
  CHECK(graph == eager);
  const auto block = gpu_squared_errors(model, Prediction::epsilon, schedule, q.images.narrow(0, 5, 3),
                                        std::span(q.names).subspan(5, 3), q.slots, 16, 7, device, no_progress);
  CHECK(std::equal(block.begin(), block.end(), graph.begin() + 5 * static_cast<std::ptrdiff_t>(q.slots.size())));
}

TEST_CASE("gpu scoring: a model that predicts NaN is said to have diverged") {
  const Queries q;
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  {
    const torch::NoGradGuard no_grad;
    model->parameters().back().fill_(std::numeric_limits<float>::quiet_NaN());
  }
  CHECK_THROWS_AS((void)q.score(model, test::gpu()), DivergenceError);
}

TEST_CASE("gpu sampling: the CPU's images, for every sampler") {
  const jobs::Dataset data = test::tiny_dataset();
  for (const char* kind : {"ddim", "ddpm", "dpmsolver++"}) {
    CAPTURE(kind);
    jobs::SampleSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.set.sampler.kind = kind;
    spec.set.sampler.steps = 5;
    spec.set.sampler.batch = 4;
    spec.set.sampler.grey_levels = 0;
    for (int i = 0; i < 6; ++i) spec.names.push_back("generated/s0/" + std::to_string(i));
    UNet2D model = make_unet2d(test::tiny_model(), 3);
    model->eval();
    const torch::Tensor cpu = sample_images(model, spec, data, torch::kCPU, no_progress);
    const torch::Device device = test::gpu();
    move_to(*model, device);
    CHECK(test::difference(sample_images(model, spec, data, device, no_progress), cpu) < 1e-4);
  }
}

TEST_CASE("gpu unlearning: every operator of images takes the CPU's steps") {
  const jobs::Dataset data = test::tiny_dataset();
  const auto removed = test::items_of(data, 0);
  Examples examples(data);
  const UNet2D full = train(test::tiny_training(60), data, {}, torch::kCPU, no_progress).model.unet2d();
  const torch::Device device = test::gpu();
  for (const OperatorEntry& op : kOperators) {
    if (op.needs_anchor) continue;  // of texts: below
    CAPTURE(std::string(op.name));
    jobs::UnlearnSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = op.name;
    spec.unlearn.steps = 3;
    spec.unlearn.retain_batch = 8;
    if (!op.one_step) {
      spec.unlearn.optimizer.lr = 1e-4;
      spec.unlearn.optimizer.eps = 1e-3;
    }
    const auto run = [&](torch::Device where) {
      UNet2D model = copy_unet2d(full), teacher = copy_unet2d(full);
      UNet2DCondition guide = test::tiny_guide();
      move_to(*model, where);
      move_to(*teacher, where);
      move_to(*guide, where);
      Examples there(data);
      there.move_to(where);
      (void)unlearn(model, teacher, spec, there, removed, 10, where, no_progress, nullptr, guide);
      return model;
    };
    CHECK(weights_apart(run(device), run(torch::kCPU)) < 1e-3);
  }
}

TEST_CASE("gpu attribution: projected gradients are the CPU's") {
  const jobs::Dataset data = test::tiny_dataset();
  const torch::Tensor images = gather_images(data, std::span(data.train).first(5));
  jobs::FeaturesSpec spec;
  spec.kind = "gradients";
  spec.diffusion = test::tiny_diffusion();
  spec.loss = "error";
  spec.timesteps = 4;
  spec.projection = "sjlt";
  spec.dimension = 64;
  UNet2D model = make_unet2d(test::tiny_model(), 7);
  model->eval();
  const Features cpu = gradient_features(model, spec, images, torch::kCPU, no_progress);
  const torch::Device device = test::gpu();
  move_to(*model, device);
  const Features gpu = gradient_features(model, spec, images, device, no_progress);
  CHECK(test::difference(gpu.rows, cpu.rows) < 1e-3);
  CHECK(test::difference(gpu.residuals, cpu.residuals) < 1e-4);
}
