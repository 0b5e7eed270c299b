#include "worker/models/autoencoder_kl.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

Json small_autoencoder() {
  return {{"in_channels", 1},
          {"out_channels", 1},
          {"block_out_channels", {8, 8}},
          {"down_block_types", {"DownEncoderBlock2D", "DownEncoderBlock2D"}},
          {"up_block_types", {"UpDecoderBlock2D", "UpDecoderBlock2D"}},
          {"norm_num_groups", 4},
          {"latent_channels", 2},
          {"scaling_factor", 0.5}};
}

}  // namespace

TEST_CASE("AutoencoderKL: images become latents of half the size, and latents images again, each row by itself") {
  AutoencoderKL model = make_autoencoder_kl(small_autoencoder(), 3);
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  const torch::Tensor images = torch::randn({3, 1, 8, 12});
  const LatentMoments moments = model->encode(images);
  CHECK(moments.mean.sizes() == c10::IntArrayRef({3, 2, 4, 6}));
  CHECK(moments.logvar.sizes() == moments.mean.sizes());
  const torch::Tensor decoded = model->decode(moments.mean);
  CHECK(decoded.sizes() == images.sizes());
  CHECK(torch::allclose(model->encode(images.narrow(0, 1, 1)).mean[0], moments.mean[1], 1e-5, 1e-6));
  CHECK(torch::allclose(model->decode(moments.mean.narrow(0, 1, 1))[0], decoded[1], 1e-5, 1e-6));
}

TEST_CASE("AutoencoderKL: the logarithm of the variance stays within -30 and 20") {
  AutoencoderKL model = make_autoencoder_kl(small_autoencoder(), 3);
  const torch::NoGradGuard no_grad;
  torch::Tensor bias = model->named_parameters()["quant_conv.bias"];  // [mean, mean, logvar, logvar]
  bias[2] = -1000, bias[3] = 1000;
  const torch::Tensor logvar = model->encode(torch::zeros({1, 1, 8, 8})).logvar;
  CHECK(torch::equal(logvar[0][0], torch::full({4, 4}, -30.0F)));
  CHECK(torch::equal(logvar[0][1], torch::full({4, 4}, 20.0F)));
}

TEST_CASE("AutoencoderKL: what is saved loads again to the same bits, with its config") {
  const test::ScratchFolder scratch;
  AutoencoderKL model = make_autoencoder_kl(small_autoencoder(), 3);
  save_autoencoder_kl(model, scratch / "vae");
  AutoencoderKL again = load_autoencoder_kl(scratch / "vae");
  CHECK(again->config().to_json() == model->config().to_json());
  CHECK(again->config().scaling_factor == 0.5);
  for (const auto& p : model->named_parameters()) CHECK(torch::equal(p.value(), again->named_parameters()[p.key()]));
  CHECK(!again->is_training());
}

TEST_CASE("AutoencoderKL: a config that is not that of the weights is refused with what is missing and unused") {
  const test::ScratchFolder scratch;
  AutoencoderKL model = make_autoencoder_kl(small_autoencoder(), 3);
  save_autoencoder_kl(model, scratch / "vae");
  Json other = model->config().to_json();
  other["use_quant_conv"] = false;
  other["layers_per_block"] = 2;
  replace_file(scratch / "vae" / "config.json", other.dump());
  CHECK_THROWS_WITH_AS(load_autoencoder_kl(scratch / "vae"), doctest::Contains("2 unused: quant_conv.bias"), Error);
  CHECK_THROWS_WITH_AS(load_autoencoder_kl(scratch / "vae"),
                       doctest::Contains("encoder.down_blocks.0.resnets.1.conv1.weight"), Error);
}

TEST_CASE("AutoencoderKL: images and latents that do not fit are refused by their shape") {
  AutoencoderKL model = make_autoencoder_kl(small_autoencoder(), 0);
  CHECK_THROWS_WITH_AS(
      model->encode(torch::zeros({1, 1, 7, 8})),
      doctest::Contains("images of shape [1, 1, 7, 8] are not [N, 1, H, W] with H and W multiples of 2"), Error);
  CHECK_THROWS_WITH_AS(model->decode(torch::zeros({1, 4, 4, 4})), doctest::Contains("latents of shape [1, 4, 4, 4]"),
                       Error);
}
