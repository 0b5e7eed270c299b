#include "worker/diffusion/ddim.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

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

Ddim recorded_sampler(const Json& o) {
  jobs::DiffusionConfig diffusion = diffusion_of(o.at("beta_schedule"));
  if (diffusion.schedule == "scaled_linear") diffusion.beta_start = 1e-4, diffusion.beta_end = 0.02;
  DdimOptions options{.steps = o.at("steps"), .eta = o.at("eta")};
  options.clip_sample = o.value("clip_sample", true);
  options.clip_range = o.value("clip_sample_range", 1.0);
  options.reuse_clipped = o.value("use_clipped_model_output", false);
  options.set_alpha_to_one = o.value("set_alpha_to_one", true);
  options.spacing = o.value("timestep_spacing", "leading");
  options.steps_offset = o.value("steps_offset", 0U);
  return Ddim(jobs::NoiseSchedule(diffusion), prediction_from(o.value("prediction_type", "epsilon")), options);
}

}  // namespace

TEST_CASE("DDIM: every step equals diffusers' within 1e-6 for every recorded set of options") {
  const SafetensorsFile file(kGolden / "ddim.safetensors");
  const Json all = Json::parse(file.metadata().at("options"));
  REQUIRE(all.size() >= 9);
  for (const auto& [name, options] : all.items()) {
    CAPTURE(name);
    const Ddim ddim = recorded_sampler(options);
    const auto recorded = [&](const char* what) { return tensor_from(file, name + "." + what); };
    const at::Tensor timesteps = recorded("timesteps"), results = recorded("results");
    REQUIRE(static_cast<std::int64_t>(ddim.timesteps().size()) == timesteps.size(0));
    at::Tensor x = recorded("sample");
    for (std::size_t i = 0; i < ddim.timesteps().size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      const std::uint32_t t = ddim.timesteps()[i];
      CAPTURE(t);
      CHECK(t == timesteps[row].item<std::int64_t>());
      const at::Tensor next = ddim.step(recorded("outputs")[row], t, x, recorded("noises")[row]);
      const double scale = std::max(1.0, results[row].abs().max().item<double>());
      CHECK((next - results[row]).abs().max().item<double>() < 1e-6 * scale);
      // Its own float32 tables keep only three digits of 1 - A_t near t = 0 (tests/golden/README.md).
      CHECK((next - recorded("released")[row]).abs().max().item<double>() < 1e-5 * scale);
      x = results[row];
    }
  }
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
