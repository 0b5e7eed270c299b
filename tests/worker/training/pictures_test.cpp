// Pictures of a folder where training sees them: decoded when asked for, encoded a few at a time.
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <span>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/autoencoder_model.hpp"
#include "jobs/picture_dataset.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/small_pictures.hpp"
#include "worker/training/images.hpp"
#include "worker/training/latent_table.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct CanvasData {
  test::ScratchFolder folder;
  test::OwnPictureCache cache{folder / ".cache"};
  jobs::Dataset data;

  explicit CanvasData(std::uint32_t side = 16) {
    test::write_canvas(folder.path());
    jobs::DatasetConfig config;
    config.kind = "unlearncanvas";
    config.path = folder.path();
    config.descriptors = folder / "descriptors.json";
    config.side = side;
    config.train = 0;
    data = jobs::load_dataset(config);
  }
};

AutoencoderKL small_autoencoder() {
  jobs::AutoencoderConfig config;
  config.block_out_channels = {8, 8};
  AutoencoderKL model = make_autoencoder_kl(jobs::autoencoder_model(config, {3, 16, 16}), 5);
  model->eval();
  return model;
}

}  // namespace

TEST_CASE("pictures: a batch has the pixels of its files in [-1, 1], mirrored where asked for") {
  const CanvasData canvas;
  const std::vector<std::uint32_t> items{7, 0, 23};
  const torch::Tensor images = gather_images(canvas.data, items, {false, true, false});
  CHECK(images.sizes() == torch::IntArrayRef({3, 3, 16, 16}));
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto bytes = jobs::picture_pixels(canvas.data, items[static_cast<std::size_t>(i)]);
    const torch::Tensor image = i == 1 ? images[i].flip({2}) : images[i];
    CHECK(image[2][3][5].item<float>() == doctest::Approx(bytes[2 * 256 + 3 * 16 + 5] / 127.5 - 1).epsilon(1e-6));
    CHECK(image[0][15][0].item<float>() == doctest::Approx(bytes[15 * 16] / 127.5 - 1).epsilon(1e-6));
  }
  CHECK_FALSE(torch::equal(images[0], images[2]));
}

TEST_CASE("pictures: a file that went away meanwhile is an error that names it, whatever thread met it") {
  const CanvasData canvas;
  std::filesystem::remove(canvas.data.files[3]);
  const std::vector<std::uint32_t> items{0, 1, 2, 3};
  CHECK_THROWS_WITH_AS((void)gather_images(canvas.data, items), doctest::Contains(canvas.data.files[3].c_str()),
                       IoError);
}

TEST_CASE("pictures: latents are those of the images all at once, which are never all in memory") {
  const CanvasData canvas(512);
  AutoencoderKL model = small_autoencoder();
  const std::span<const std::uint32_t> items = std::span(canvas.data.train).first(6);
  std::int64_t most = 0, asked = 0;
  const ImagesAt some = [&](std::int64_t first, std::int64_t count) {
    most = std::max(most, count);
    asked += count;
    return gather_images(canvas.data, items.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
  };
  const LatentTable lazy = encode_images(model, some, 6, true, torch::kCPU, [] {});
  CHECK(most == 4);       // of 512 x 512 pixels
  CHECK(asked == 6 + 1);  // each once for both orientations, and one that tells the size
  const LatentTable whole = encode_images(model, gather_images(canvas.data, items), true, torch::kCPU, [] {});
  CHECK(torch::equal(lazy.mean, whole.mean));
  CHECK(torch::equal(lazy.mirrored_logvar, whole.mirrored_logvar));
  CHECK_FALSE(torch::equal(lazy.mean, lazy.mirrored_mean));
}
