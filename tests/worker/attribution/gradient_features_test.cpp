// Projected gradients and the Fisher diagonal against autograd, one image after the other (methods.md 5.1, 6.1, A.4).
#include "worker/attribution/gradient_features.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/noise_schedule.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/attribution/projection.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/training/images.hpp"
#include "worker/unlearn/step_images.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Setting {
  jobs::Dataset data = test::tiny_dataset();
  UNet2D model = make_unet2d(test::tiny_model(), 7);
  torch::Tensor images = gather_images(data, std::span(data.train).first(5));
  jobs::NoiseSchedule schedule{test::tiny_diffusion()};
  Setting() {
    at::set_num_threads(1);
    model->eval();
  }

  /// The gradient of `value(predicted, noise)` of one image at one timestep: [weights].
  template <class Value>
  torch::Tensor gradient(const torch::Tensor& image, std::uint32_t t, const torch::Tensor& noise, const Value& value) {
    StepImages row;
    row.timesteps = {t};
    row.noise = noise.unsqueeze(0);
    row.x_t = add_noise(image.unsqueeze(0), row.noise, noise_levels(schedule, row.timesteps));
    const torch::Tensor predicted = predict_noise(model, Prediction::epsilon, schedule, row, torch::kCPU);
    std::vector<torch::Tensor> flat;
    for (const auto& g : torch::autograd::grad({value(predicted[0], row.noise.flatten())}, model->parameters()))
      flat.push_back(g.flatten());
    return torch::cat(flat);
  }
};

torch::Tensor normal(std::uint64_t seed, std::uint64_t id, std::uint32_t timestep, std::uint32_t draw) {
  torch::Tensor noise = torch::empty({1, 8, 8});
  fill_normal(seed, id, timestep, draw, {noise.data_ptr<float>(), 64});
  return noise;
}

torch::Tensor mean_square(const torch::Tensor& predicted, const torch::Tensor& noise) {
  return (predicted - noise).square().mean();
}

jobs::FeaturesSpec features_spec(const std::string& loss) {
  jobs::FeaturesSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.loss = loss;
  spec.timesteps = 4;
  spec.projection = "rademacher";
  spec.dimension = 64;
  spec.seed = 3;
  return spec;
}

double relative(const torch::Tensor& a, const torch::Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

}  // namespace

TEST_CASE("features are projections of gradients averaged over timesteps, as autograd says (methods.md 5.1, A.4)") {
  Setting s;
  const std::vector<std::uint32_t> timesteps{0, 25, 50, 75};
  for (const std::string loss : {"error", "squared_output", "mean_output"}) {
    for (const bool normalised : {false, true}) {
      CAPTURE(loss);
      CAPTURE(normalised);
      jobs::FeaturesSpec spec = features_spec(loss);
      spec.normalised = normalised;
      const Features got = gradient_features(s.model, spec, s.images, torch::kCPU, {});
      const Projection projection("rademacher", 64, (SeedPath(3) / "projection").value());
      for (std::int64_t i = 0; i < s.images.size(0); ++i) {
        torch::Tensor sum;
        for (const std::uint32_t t : timesteps) {
          // One noise per timestep, whatever the image.
          const torch::Tensor noise = normal((SeedPath(3) / "noise").value(), 0, t, 0);
          torch::Tensor g = s.gradient(s.images[i], t, noise, [&](const torch::Tensor& out, const torch::Tensor& eps) {
            return loss == "error" ? mean_square(out, eps) : loss == "mean_output" ? out.mean() : out.square().mean();
          });
          if (normalised) g = g / (g.norm() + 1e-8);
          sum = sum.defined() ? sum + g : g;
        }
        CHECK(relative(got.rows[i], projection.apply((sum / 4).unsqueeze(0))[0]) < 1e-4);
      }
    }
  }
}

TEST_CASE("residuals are the mean over t of root mean squared errors in units of their length (methods.md 5.3)") {
  Setting s;
  const Features got = gradient_features(s.model, features_spec("mean_output"), s.images, torch::kCPU, {});
  for (std::int64_t i = 0; i < s.images.size(0); ++i) {
    std::vector<double> errors;
    for (const std::uint32_t t : {0U, 25U, 50U, 75U}) {
      const torch::Tensor noise = normal((SeedPath(3) / "noise").value(), 0, t, 0);
      (void)s.gradient(s.images[i], t, noise, [&](const torch::Tensor& out, const torch::Tensor& eps) {
        const torch::Tensor loss = mean_square(out, eps);
        errors.push_back(std::sqrt(loss.item<double>()));
        return loss;
      });
    }
    const torch::Tensor e = torch::tensor(errors, torch::kFloat64);
    CHECK(got.residuals[i].item<double>() == doctest::Approx((e / e.norm()).mean().item<double>()).epsilon(1e-5));
  }
}

TEST_CASE(
    "features of an image depend on neither its block nor its neighbours, and more timesteps than there are are "
    "refused") {
  Setting s;
  jobs::FeaturesSpec spec = features_spec("error");
  const Features all = gradient_features(s.model, spec, s.images, torch::kCPU, {});
  const Features some = gradient_features(s.model, spec, s.images.narrow(0, 2, 2), torch::kCPU, {});
  CHECK(relative(some.rows, all.rows.narrow(0, 2, 2)) < 1e-5);
  spec.timesteps = 101;
  CHECK_THROWS_WITH_AS((void)gradient_features(s.model, spec, s.images, torch::kCPU, {}),
                       doctest::Contains("gradients.timesteps"), Error);
}

TEST_CASE(
    "the Fisher diagonal is the mean squared gradient of single images, mirrored or not by a coin (methods.md 6.1)") {
  Setting s;
  constexpr std::uint32_t kPasses = 3, kFirst = 10;
  const SeedPath seed(9);
  for (const bool flip : {false, true}) {
    CAPTURE(flip);
    jobs::FeaturesSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.timesteps = kPasses;
    spec.flip = flip;
    spec.first = kFirst;
    spec.seed = 9;
    const torch::Tensor got = fisher_diagonal(s.model, spec, s.images, torch::kCPU, {}).rows[0];
    torch::Tensor sum;
    int mirrored = 0;
    for (std::uint32_t i = 0; i < 5; ++i) {
      for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
        const std::uint64_t place = (kFirst + i) * kPasses + pass;
        const auto t = static_cast<std::uint32_t>(random_uniform((seed / "timestep").value(), place) * 100);
        const bool turned = flip && random_bits((seed / "flip").value(), place) >> 63 != 0;
        mirrored += turned;
        const torch::Tensor image = turned ? s.images[i].flip({-1}) : s.images[i];
        const torch::Tensor square =
            s.gradient(image, t, normal((seed / "noise").value(), kFirst + i, 0, pass), mean_square).square();
        sum = sum.defined() ? sum + square : square;
      }
    }
    CHECK(relative(got, sum / (5 * kPasses)) < 1e-4);
    CHECK((mirrored > 0) == flip);
    CHECK(mirrored < 15);
  }
}
