// Against recorded steps of diffusers 0.31 (tests/golden/generate_samplers.py).
#include "worker/diffusion/chain.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

Chain recorded_chain(const Json& o) {
  const jobs::SamplerConfig sampler{.kind = o.at("kind"), .steps = o.at("steps"), .clamp = o.value("clamp", true)};
  const jobs::DiffusionConfig diffusion{.timesteps = o.value("timesteps", 1000U),
                                        .schedule = o.value("schedule", "squaredcos_cap_v2"),
                                        .beta_start = o.value("beta_start", 1e-4),
                                        .beta_end = o.value("beta_end", 0.02),
                                        .prediction = o.value("prediction", "epsilon")};
  return {sampler, jobs::NoiseSchedule(diffusion), prediction_from(diffusion.prediction)};
}

}  // namespace

TEST_CASE("DDPM and DPM-Solver++: every step equals diffusers' within 1e-5, whatever the model predicts") {
  const SafetensorsFile file(std::filesystem::path(GUDA_SOURCE_DIR) / "tests/golden/samplers.safetensors");
  const Json all = Json::parse(file.metadata().at("options"));
  std::set<std::string> seen;
  for (const auto& [name, options] : all.items()) {
    CAPTURE(name);
    seen.insert(options.at("kind").get<std::string>() + " " + options.value("prediction", "epsilon"));
    const Chain chain = recorded_chain(options);
    const auto recorded = [&](const char* what) { return tensor_from(file, name + "." + what); };
    const at::Tensor timesteps = recorded("timesteps"), outputs = recorded("outputs"), noises = recorded("noises"),
                     results = recorded("results");
    REQUIRE(static_cast<std::int64_t>(chain.timesteps().size()) == timesteps.size(0));
    at::Tensor x = recorded("sample"), memory;
    for (std::size_t i = 0; i < chain.timesteps().size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      CAPTURE(i);
      CHECK(chain.timesteps()[i] == timesteps[row].item<std::int64_t>());
      const at::Tensor next = chain.step(outputs[row], i, x, noises[row], memory);
      const double bound = 1e-5 * std::max(1.0, results[row].abs().max().item<double>());
      CHECK((next - results[row]).abs().max().item<double>() < bound);
      x = results[row];
    }
  }
  CHECK(seen == std::set<std::string>{"ddpm epsilon", "ddpm sample", "ddpm v_prediction", "dpmsolver++ epsilon",
                                      "dpmsolver++ sample", "dpmsolver++ v_prediction"});
}

TEST_CASE("Chain: only samplers that add noise ask for it, and an unknown one is refused by name") {
  const jobs::NoiseSchedule schedule{jobs::DiffusionConfig{}};
  const auto noise = [&](const char* kind, double eta) {
    const Chain chain({.kind = kind, .steps = 10, .eta = eta}, schedule, Prediction::epsilon);
    return chain.noise_std(chain.timesteps().front()) > 0;
  };
  CHECK(noise("ddpm", 0));
  CHECK(noise("ddim", 1));
  CHECK(!noise("ddim", 0));
  CHECK(!noise("dpmsolver++", 1));
  CHECK_THROWS_WITH_AS(Chain({.kind = "euler"}, schedule, Prediction::epsilon), doctest::Contains("'euler'"), Error);
}
