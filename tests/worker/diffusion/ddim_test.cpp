#include "worker/diffusion/ddim.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(GUDA_SOURCE_DIR) / "tests/golden";

jobs::DiffusionConfig diffusion_of(const std::string& schedule, std::uint32_t timesteps = 1000) {
  jobs::DiffusionConfig c{.timesteps = timesteps, .schedule = schedule};
  if (schedule == "scaled_linear") c.beta_start = 0.00085, c.beta_end = 0.012;
  return c;
}

/// torch.linspace in float32: from either end to the middle.
std::vector<float> float_linspace(float from, float to, std::uint32_t n) {
  const float step = (to - from) / static_cast<float>(n - 1);
  std::vector<float> values(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    values[i] = i < n / 2 ? from + step * static_cast<float>(i) : to - step * static_cast<float>(n - 1 - i);
  }
  return values;
}

/// The tables as DDIMScheduler keeps them: float32 betas, 1 - beta in float32, products rounded to float32
/// (torch.cumprod multiplies in double and rounds what it stores).
jobs::NoiseSchedule released_tables(const jobs::DiffusionConfig& c) {
  std::vector<float> betas(c.timesteps);
  if (c.schedule == "squaredcos_cap_v2") {
    const jobs::NoiseSchedule exact(c);
    for (std::uint32_t t = 0; t < c.timesteps; ++t) betas[t] = static_cast<float>(exact.beta(t));
  } else if (c.schedule == "linear") {
    betas = float_linspace(static_cast<float>(c.beta_start), static_cast<float>(c.beta_end), c.timesteps);
  } else {
    betas = float_linspace(static_cast<float>(std::sqrt(c.beta_start)), static_cast<float>(std::sqrt(c.beta_end)),
                           c.timesteps);
    for (float& beta : betas) beta *= beta;
  }
  std::vector<double> products(c.timesteps);
  double product = 1;
  for (std::uint32_t t = 0; t < c.timesteps; ++t) products[t] = static_cast<float>(product *= 1.0F - betas[t]);
  return {std::vector<double>(betas.begin(), betas.end()), products};
}

enum class Tables { exact, released };

Ddim recorded_sampler(const Json& o, Tables tables) {
  jobs::DiffusionConfig diffusion = diffusion_of(o.at("beta_schedule"));
  if (diffusion.schedule == "scaled_linear") diffusion.beta_start = 1e-4, diffusion.beta_end = 0.02;
  DdimOptions options{.steps = o.at("steps"), .eta = o.at("eta")};
  options.clip_sample = o.value("clip_sample", true);
  options.clip_range = o.value("clip_sample_range", 1.0);
  options.reuse_clipped = o.value("use_clipped_model_output", false);
  options.set_alpha_to_one = o.value("set_alpha_to_one", true);
  options.spacing = o.value("timestep_spacing", "leading");
  options.steps_offset = o.value("steps_offset", 0U);
  const jobs::NoiseSchedule schedule =
      tables == Tables::exact ? jobs::NoiseSchedule(diffusion) : released_tables(diffusion);
  return Ddim(schedule, prediction_from(o.value("prediction_type", "epsilon")), options);
}

}  // namespace

TEST_CASE("DDIM: every step equals diffusers' within 1e-6, on exact tables and on its own float32 ones") {
  const SafetensorsFile file(kGolden / "ddim.safetensors");
  const Json all = Json::parse(file.metadata().at("options"));
  REQUIRE(all.size() >= 9);
  std::set<std::string> schedules, predictions;
  for (const auto& [name, options] : all.items()) {
    CAPTURE(name);
    schedules.insert(options.at("beta_schedule"));
    predictions.insert(options.value("prediction_type", "epsilon"));
    const Ddim exact = recorded_sampler(options, Tables::exact), released = recorded_sampler(options, Tables::released);
    const auto recorded = [&](const char* what) { return tensor_from(file, name + "." + what); };
    const at::Tensor timesteps = recorded("timesteps"), results = recorded("results");
    REQUIRE(static_cast<std::int64_t>(exact.timesteps().size()) == timesteps.size(0));
    at::Tensor x = recorded("sample");
    for (std::size_t i = 0; i < exact.timesteps().size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      const std::uint32_t t = exact.timesteps()[i];
      CAPTURE(t);
      CHECK(t == timesteps[row].item<std::int64_t>());
      const at::Tensor output = recorded("outputs")[row], noise = recorded("noises")[row];
      const double bound = 1e-6 * std::max(1.0, results[row].abs().max().item<double>());
      CHECK((exact.step(output, t, x, noise) - results[row]).abs().max().item<double>() < bound);
      CHECK((released.step(output, t, x, noise) - recorded("released")[row]).abs().max().item<double>() < bound);
      x = results[row];
    }
  }
  CHECK(schedules == std::set<std::string>{"linear", "scaled_linear", "squaredcos_cap_v2"});
  CHECK(predictions == std::set<std::string>{"epsilon", "sample", "v_prediction"});
}

TEST_CASE("noise schedule: betas and their products equal diffusers' within 1e-6") {
  const Json all = Json::parse(read_file(kGolden / "schedules.json"));
  REQUIRE(all.size() == 6);
  for (const auto& [name, record] : all.items()) {
    CAPTURE(name);
    const auto slash = name.find('/');
    const jobs::NoiseSchedule s(
        diffusion_of(name.substr(0, slash), static_cast<std::uint32_t>(std::stoul(name.substr(slash + 1)))));
    for (std::size_t i = 0; i < record["t"].size(); ++i) {
      const std::uint32_t t = record["t"][i];
      CAPTURE(t);
      CHECK(std::abs(s.beta(t) - record["beta"][i].get<double>()) < 1e-6);
      CHECK(std::abs(s.alpha_bar(t) - record["alpha_bar"][i].get<double>()) < 1e-6);
    }
  }
}

TEST_CASE("DDIM: with a perfect noise prediction, deterministic sampling returns the clean image") {
  const jobs::NoiseSchedule schedule(diffusion_of("squaredcos_cap_v2"));
  const Ddim ddim(schedule, Prediction::epsilon, {.steps = 20});
  const at::Tensor x0 = at::rand({2, 1, 4, 4}) * 1.8 - 0.9, eps = at::randn({2, 1, 4, 4});
  const std::uint32_t first = ddim.timesteps().front();
  at::Tensor x = schedule.sqrt_alpha_bar(first) * x0 + schedule.sigma(first) * eps;
  for (const std::uint32_t t : ddim.timesteps()) {
    CHECK(ddim.noise_std(t) == 0);
    x = ddim.step(eps, t, x, {});
  }
  CHECK((x - x0).abs().max().item<double>() < 1e-4);
}

TEST_CASE("DDIM: noise is asked for when eta is positive, and not after the last step") {
  const Ddim ddim(jobs::NoiseSchedule(diffusion_of("squaredcos_cap_v2")), Prediction::epsilon, {.steps = 10, .eta = 1});
  const at::Tensor x = at::zeros({1, 1, 2, 2});
  CHECK(ddim.noise_std(900) > 0);
  CHECK_THROWS_WITH_AS(static_cast<void>(ddim.step(x, 900, x, {})), doctest::Contains("needs noise"), Error);
  CHECK(ddim.noise_std(ddim.timesteps().back()) == 0);
  CHECK_NOTHROW(static_cast<void>(ddim.step(x, 0, x, {})));
}

TEST_CASE("DDIM: options that do not fit the schedule are refused by name") {
  const jobs::NoiseSchedule schedule(diffusion_of("linear", 100));
  const auto make = [&](const DdimOptions& o) { Ddim(schedule, Prediction::epsilon, o); };
  CHECK_THROWS_WITH_AS(make({.steps = 101}), doctest::Contains("sampler.steps: 101"), Error);
  CHECK_THROWS_WITH_AS(make({.steps = 0}), doctest::Contains("sampler.steps: 0"), Error);
  CHECK_THROWS_WITH_AS(make({.steps = 10, .eta = 1.5}), doctest::Contains("sampler.eta"), Error);
  CHECK_THROWS_WITH_AS(make({.steps = 10, .clip_range = 0}), doctest::Contains("sampler.clip_range"), Error);
  CHECK_THROWS_WITH_AS(make({.steps = 10, .spacing = "quad"}), doctest::Contains("'quad'"), Error);
  CHECK_THROWS_WITH_AS(make({.steps = 10, .steps_offset = 10}), doctest::Contains("sampler.steps_offset"), Error);
}
