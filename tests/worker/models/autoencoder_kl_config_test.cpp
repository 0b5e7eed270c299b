#include "worker/models/autoencoder_kl_config.hpp"

#include <doctest/doctest.h>

#include <string>

#include "common/error.hpp"

using guda::Json;
using guda::worker::AutoencoderKLConfig;

namespace {

std::string faults_of(const Json& json) {
  try {
    static_cast<void>(AutoencoderKLConfig::from_json(json, "here"));
  } catch (const guda::Error& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("AutoencoderKL config: those of Stable Diffusion 1.5 and XL read, and are written back as they were") {
  // 1.5's lacks the keys of later versions of diffusers.
  const Json sd15 = {
      {"_class_name", "AutoencoderKL"},
      {"_diffusers_version", "0.6.0"},
      {"act_fn", "silu"},
      {"block_out_channels", {128, 256, 512, 512}},
      {"down_block_types", {"DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"}},
      {"in_channels", 3},
      {"latent_channels", 4},
      {"layers_per_block", 2},
      {"norm_num_groups", 32},
      {"out_channels", 3},
      {"sample_size", 512},
      {"up_block_types", {"UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"}}};
  const auto c = AutoencoderKLConfig::from_json(sd15);
  CHECK(c.scaling_factor == 0.18215);
  CHECK(c.reduction() == 8);
  Json xl = sd15;
  xl.update({{"scaling_factor", 0.13025}, {"force_upcast", true}, {"sample_size", {1024, 768}}});
  for (const Json& published : {sd15, xl}) {
    const Json written = AutoencoderKLConfig::from_json(published).to_json();
    CHECK(AutoencoderKLConfig::from_json(written).to_json() == written);
    for (const auto& [key, value] : published.items()) {
      CAPTURE(key);
      if (key != "_diffusers_version") CHECK(written.at(key) == value);
    }
  }
}

TEST_CASE("AutoencoderKL config: everything that is wrong is said at once") {
  const std::string faults = faults_of({{"_class_name", "AutoencoderTiny"},
                                        {"shift_factor", 0.1159},
                                        {"latents_mean", {0.1}},
                                        {"down_block_types", {"AttnDownEncoderBlock2D"}},
                                        {"use_quant_conv", "no"},
                                        {"sample_size", nullptr},
                                        {"scaling_factor", 0},
                                        {"width", 3}});
  for (const char* part : {"here:", "_class_name", "shift_factor: 0.1159 is not supported, only null", "latents_mean",
                           "AttnDownEncoderBlock2D", "use_quant_conv", "sample_size: null", "scaling_factor: 0",
                           "width: is not a key that AutoencoderKL supports"}) {
    CAPTURE(part);
    CHECK(has(faults, part));
  }
  CHECK(faults_of({{"shift_factor", nullptr}, {"latents_mean", nullptr}, {"latents_std", nullptr}}).empty());
}

TEST_CASE("AutoencoderKL config: parts that do not fit each other are refused") {
  CHECK(has(faults_of({{"block_out_channels", {32, 64}}, {"up_block_types", {"UpDecoderBlock2D", "UpDecoderBlock2D"}}}),
            "down_block_types: 1 entries, but block_out_channels has 2"));
  CHECK(has(faults_of({{"block_out_channels", {48}}}), "norm_num_groups: 32 does not divide 48 channels"));
}
