#include "worker/training/examples.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/training/images.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("examples: without latents they are the pixels, without captions a model is told nothing") {
  const jobs::Dataset data = test::tiny_dataset();
  const Examples examples(data);
  const std::vector<std::uint32_t> items{data.train[0], data.train[7]};
  CHECK(torch::equal(examples.clean(items, {false, true}, SeedPath(1), 3), gather_images(data, items, {false, true})));
  CHECK_FALSE(examples.context(items).defined());
  CHECK_FALSE(examples.has_captions());
}

TEST_CASE(
    "examples: latents are drawn anew in every step, around their mean, and scaled; mirrored ones have their own") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  const auto latents = test::tiny_latents(data);
  const Examples examples(data, latents, nullptr);
  const std::vector<std::uint32_t> items{data.train[9], data.train[2]};
  const torch::Tensor one = examples.clean(items, {}, SeedPath(1), 3);
  CHECK(torch::equal(one, examples.clean(items, {}, SeedPath(1), 3)));
  CHECK_FALSE(torch::equal(one, examples.clean(items, {}, SeedPath(1), 4)));
  const torch::Tensor mean = torch::stack({latents->mean[9], latents->mean[2]}) * 0.5;
  const double spread = std::exp(-2.0) * 0.5;  // exp(logvar / 2) scale
  CHECK((one - mean).std().item<double>() == doctest::Approx(spread).epsilon(0.1));
  const torch::Tensor mirrored = examples.clean(items, {false, true}, SeedPath(1), 3);
  CHECK(torch::equal(mirrored[0], one[0]));
  CHECK(torch::allclose(mirrored[1] - one[1], (latents->mirrored_mean[2] - latents->mean[2]) * 0.5, 1e-4, 1e-5));
}

TEST_CASE("examples: captions are embedded as they are; withheld ones are the empty text, about as often as asked") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  const auto texts = test::tiny_texts(data);
  const Examples examples(data, nullptr, texts);
  const std::vector<std::uint32_t> items(data.train.begin(), data.train.end());
  const torch::Tensor told = examples.context(items);
  CHECK(torch::equal(told[3], texts->embeddings(std::vector<std::string>{data.captions[items[3]]})[0]));
  CHECK(torch::equal(examples.context(items, SeedPath(1), 5, 0), told));
  const torch::Tensor none = texts->embeddings(std::vector<std::string>{""})[0];
  int withheld = 0;
  for (std::uint64_t step = 0; step < 20; ++step) {
    const torch::Tensor rows = examples.context(items, SeedPath(1), step, 0.25);
    CHECK(torch::equal(rows, examples.context(items, SeedPath(1), step, 0.25)));
    for (std::int64_t i = 0; i < rows.size(0); ++i) withheld += torch::equal(rows[i], none) ? 1 : 0;
  }
  CHECK(withheld / (20.0 * static_cast<double>(items.size())) == doctest::Approx(0.25).epsilon(0.2));
  CHECK_THROWS_AS((void)texts->embeddings(std::vector<std::string>{"never seen"}), Bug);
}

TEST_CASE("examples: blocks of latents come back one behind the other; of another scale or number they are refused") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  const auto latents = test::tiny_latents(data);
  const LatentTable& whole = *latents;
  const auto part = [&](std::int64_t first, std::int64_t count, double scale) {
    return LatentTable{whole.mean.narrow(0, first, count).contiguous(),
                       whole.logvar.narrow(0, first, count).contiguous(),
                       whole.mirrored_mean.narrow(0, first, count).contiguous(),
                       whole.mirrored_logvar.narrow(0, first, count).contiguous(), scale};
  };
  const test::ScratchFolder scratch;
  std::vector<std::filesystem::path> folders{scratch / "a", scratch / "b"};
  for (const auto& folder : folders) std::filesystem::create_directories(folder);
  save_latents(part(0, 40, 0.18215), folders[0]);
  save_latents(part(40, 24, 0.18215), folders[1]);
  const LatentTable back = load_latents(folders);
  CHECK(torch::equal(back.mean, whole.mean));
  CHECK(torch::equal(back.mirrored_mean, whole.mirrored_mean));
  CHECK(back.scale == 0.18215);
  save_latents(part(40, 24, 0.13), folders[1]);
  CHECK_THROWS_WITH_AS((void)load_latents(folders), doctest::Contains("another autoencoder"), Error);
  const auto few = std::make_shared<const LatentTable>(part(0, 40, 1));
  CHECK_THROWS_WITH_AS((void)Examples(data, few, nullptr), doctest::Contains("40 latents for 64"), Error);
}
