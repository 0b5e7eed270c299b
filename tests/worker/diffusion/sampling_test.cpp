#include "worker/diffusion/sampling.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/npy.hpp"
#include "common/png_image.hpp"
#include "tests/support/handed_back.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_study.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

jobs::SampleSpec generated(std::uint32_t count) {
  jobs::SampleSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.set.sampler.steps = 5;
  spec.set.sampler.batch = 4;
  for (std::uint32_t i = 0; i < count; ++i) spec.names.push_back("generated/s0/" + std::to_string(i));
  return spec;
}

torch::Tensor draw(const jobs::SampleSpec& spec, const std::function<void(const Progress&)>& progress = no_progress,
                   JobCheckpoints* checkpoints = nullptr) {
  at::set_num_threads(1);
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  model->eval();
  return sample_images(model, spec, test::tiny_dataset(), torch::kCPU, progress, {}, checkpoints);
}

QuerySet from_files(std::vector<std::filesystem::path> files) {
  jobs::SampleSpec spec;
  spec.set.kind = "images";
  spec.set.images = files;
  for (const auto& file : files) spec.names.push_back(file.filename().string());
  UNet2D none{nullptr};
  return make_query_set(none, spec, test::tiny_dataset(), torch::kCPU, no_progress);
}

}  // namespace

TEST_CASE("sampling: a sample depends on its name, not on the others, their order or the padding") {
  jobs::SampleSpec spec = generated(6);
  const torch::Tensor all = draw(spec);
  CHECK((all.sizes() == torch::IntArrayRef{6, 1, 8, 8}));
  jobs::SampleSpec one = generated(1);
  one.names = {"generated/s0/5"};
  CHECK(torch::equal(draw(one)[0], all[5]));
  std::swap(spec.names[0], spec.names[5]);
  const torch::Tensor swapped = draw(spec);
  CHECK(torch::equal(swapped[0], all[5]));
  CHECK(torch::equal(swapped[5], all[0]));
  CHECK_FALSE(torch::equal(all[0], all[5]));
}

TEST_CASE("sampling: a job that is handed back at any step goes on from there, with every sampler, to the same bits") {
  for (const std::string kind : {"dpmsolver++", "ddim", "ddpm"}) {
    jobs::SampleSpec spec = generated(6);
    spec.set.sampler.kind = kind;
    const torch::Tensor whole = draw(spec);
    for (const std::uint64_t stop : {1U, 4U, 5U, 7U, 9U}) {  // 2 batches of 5 steps
      CAPTURE(kind);
      CAPTURE(stop);
      test::HandedBack job;
      CHECK_THROWS_AS((void)draw(spec, job.until(stop), &job.attempt()), Cancelled);
      CHECK(torch::equal(draw(spec, no_progress, &job.attempt()), whole));
      CHECK(job.last().resumed_from() == stop);
    }
  }
}

TEST_CASE("sampling: decoding is seen to go on, and a job that is handed back in it keeps all samples") {
  at::set_num_threads(1);
  jobs::SampleSpec spec = generated(6);
  TextToImage how;
  how.autoencoder = make_autoencoder_kl(
      Json::parse(R"({"in_channels": 1, "out_channels": 1, "block_out_channels": [4, 8], "latent_channels": 1,
        "layers_per_block": 1, "norm_num_groups": 2, "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"]})"),
      4);
  how.autoencoder->eval();
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  model->eval();
  jobs::Dataset data = test::tiny_dataset();
  data.shape = {1, 16, 16};  // latents of 8 x 8
  const auto run = [&](const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
    return sample_images(model, spec, data, torch::kCPU, progress, how, checkpoints);
  };
  std::vector<std::uint64_t> steps;
  const torch::Tensor whole = run([&](const Progress& p) { steps.push_back(p.step); }, nullptr);
  CHECK((whole.sizes() == torch::IntArrayRef{6, 1, 16, 16}));
  CHECK(steps.size() == 12);  // 2 batches of 5 steps, and their decoding
  CHECK(std::adjacent_find(steps.begin(), steps.end(), std::greater_equal<>()) == steps.end());
  test::HandedBack job;
  CHECK_THROWS_AS((void)run(job.until(11), &job.attempt()), Cancelled);
  CHECK(torch::equal(run(no_progress, &job.attempt()), whole));
  CHECK(job.last().resumed_from() == 10);
}

TEST_CASE("sampling: pixels lie on the grey levels of [-1, 1]") {
  jobs::SampleSpec spec = generated(3);
  const torch::Tensor levels = (draw(spec) + 1) * 8;
  CHECK(torch::equal(levels, levels.round()));
  CHECK(levels.min().item<float>() >= 0);
  CHECK(levels.max().item<float>() <= 16);
  spec.set.sampler.grey_levels = 0;
  const torch::Tensor free = (draw(spec) + 1) * 8;
  CHECK_FALSE(torch::equal(free, free.round()));
  CHECK(torch::equal(free.round(), levels));
}

TEST_CASE("sampling: seed, steps, eta and clamp change the samples") {
  const torch::Tensor base = draw(generated(3));
  const auto differs = [&](auto&& change) {
    jobs::SampleSpec spec = generated(3);
    change(spec);
    CHECK_FALSE(torch::equal(base, draw(spec)));
  };
  differs([](auto& s) { s.seed = 1; });
  differs([](auto& s) { s.set.sampler.steps = 7; });
  differs([](auto& s) { s.set.sampler.eta = 0; });
  differs([](auto& s) { s.set.sampler.clamp = false; });
  differs([](auto& s) { s.set.sampler.kind = "ddpm"; });
  differs([](auto& s) { s.set.sampler.kind = "dpmsolver++"; });
  jobs::SampleSpec spec = generated(3);
  spec.set.sampler.kind = "euler";
  CHECK_THROWS_WITH_AS((void)draw(spec), doctest::Contains("euler"), Error);
}

TEST_CASE("sampling: with every sampler a sample depends on its name only") {
  for (const char* kind : {"ddpm", "dpmsolver++"}) {
    CAPTURE(kind);
    jobs::SampleSpec spec = generated(6), one = generated(1);
    spec.set.sampler.kind = one.set.sampler.kind = kind;
    one.names = {"generated/s0/5"};
    CHECK(torch::equal(draw(one)[0], draw(spec)[5]));
  }
}

TEST_CASE("sampling: samples of 256 levels are 8-bit pictures, and come back from bytes as they were") {
  jobs::SampleSpec spec = generated(3);
  spec.set.sampler.grey_levels = 256;
  const torch::Tensor images = draw(spec), bytes = ((images + 1) * 127.5).round().to(torch::kUInt8);
  CHECK((bytes.to(torch::kFloat32) / 127.5 - 1 - images).abs().max().item<float>() < 1e-6F);
}

TEST_CASE("queries: held-out ones may pass over the first items, so that two sets are disjoint") {
  const jobs::Dataset data = test::tiny_dataset();
  jobs::SampleSpec spec;
  spec.set.kind = "held_out";
  spec.set.first = 18;
  spec.names = {"tuning/0", "tuning/1"};
  UNet2D none{nullptr};
  const QuerySet set = make_query_set(none, spec, data, torch::kCPU, no_progress);
  CHECK(set.items[0] == data.held_out[18]);
  CHECK(set.items[1] == data.held_out[19]);
  spec.names.push_back("tuning/2");
  CHECK_THROWS_WITH_AS((void)make_query_set(none, spec, data, torch::kCPU, no_progress),
                       doctest::Contains("from number 18 on"), Error);
}

TEST_CASE("queries: training images know which item they are") {
  const jobs::Dataset data = test::tiny_dataset();
  jobs::SampleSpec spec;
  spec.set.kind = "training";
  spec.set.first = 118;
  spec.names = {"training/0", "training/1"};
  UNet2D none{nullptr};
  const QuerySet set = make_query_set(none, spec, data, torch::kCPU, no_progress);
  CHECK(set.items[1] == data.train[119]);
  spec.names.push_back("training/2");
  CHECK_THROWS_WITH_AS((void)make_query_set(none, spec, data, torch::kCPU, no_progress),
                       doctest::Contains("training queries from number 118"), Error);
}

TEST_CASE("queries: held-out ones are the first of the split with item and true class") {
  const jobs::Dataset data = test::tiny_dataset();
  jobs::SampleSpec spec;
  spec.set.kind = "held_out";
  spec.names = {"real/0", "real/1"};
  UNet2D none{nullptr};
  const QuerySet set = make_query_set(none, spec, data, torch::kCPU, no_progress);
  CHECK(set.items[1] == data.held_out[1]);
  CHECK(set.classes[1] == data.class_names[data.labels[data.held_out[1]]]);
  CHECK(set.images[1][0][3][4].item<float>() == doctest::Approx(data.pixels[data.held_out[1] * 64 + 28] / 8.0 - 1));
  spec.names.resize(21, "x");
  CHECK_THROWS_WITH_AS((void)make_query_set(none, spec, data, torch::kCPU, no_progress),
                       doctest::Contains("the data set has 20 such images"), Error);
}

TEST_CASE("queries: PNG and NPY files of the right size are read onto the data set's levels") {
  const test::ScratchFolder folder;
  PngImage png{8, 8, 1, std::vector<std::uint8_t>(64, 0)};
  png.pixels[1] = 255;
  png.pixels[2] = 130;  // between levels 8 (127.5) and 9: goes to 8
  replace_file(folder / "a.png", encode_png(png));
  std::vector<float> floats(64, -1.0F);
  floats[1] = 0.49F;
  replace_file(folder / "b.npy", encode_npy({{1, 8, 8}, floats}));
  replace_file(folder / "c.npy", encode_npy({{8, 8}, png.pixels}));
  const QuerySet set = from_files({folder / "a.png", folder / "b.npy", folder / "c.npy"});
  CHECK((set.names == std::vector<std::string>{"a.png", "b.npy", "c.npy"}));
  const torch::Tensor expected = torch::tensor({-1.0F, 1.0F, 0.0F, -1.0F});
  CHECK(torch::equal(set.images[0].flatten().narrow(0, 0, 4), expected));
  CHECK(torch::equal(set.images[2], set.images[0]));
  CHECK(set.images[1].flatten()[1].item<float>() == 0.5F);
  CHECK_FALSE(set.items[0].has_value());
}

TEST_CASE("queries: a picture of another size, kind or range is refused with its name and what is expected") {
  const test::ScratchFolder folder;
  const auto refused = [&](const char* name, const std::string& bytes, const char* why) {
    replace_file(folder / name, bytes, false);
    CHECK_THROWS_WITH_AS((void)from_files({folder / name}), doctest::Contains(why), Error);
    CHECK_THROWS_WITH((void)from_files({folder / name}), doctest::Contains(name));
  };
  refused("wide.png", encode_png({9, 8, 1, std::vector<std::uint8_t>(72)}), "1 channel(s) of 8 x 8 pixels");
  refused("rgb.png", encode_png({8, 8, 3, std::vector<std::uint8_t>(192)}), "does not resize");
  refused("flat.npy", encode_npy({{64}, std::vector<float>(64)}), "an array (64)");
  refused("range.npy", encode_npy({{8, 8}, std::vector<float>(64, 1.5F)}), "[-1, 1]");
  refused("nan.npy", encode_npy({{8, 8}, std::vector<float>(64, NAN)}), "[-1, 1]");
  refused("x.jpg", "x", "neither");
}

TEST_CASE("queries: a set is written and read back, with a contact sheet; damage is refused") {
  const test::ScratchFolder folder;
  QuerySet set;
  set.images = torch::rand({20, 1, 8, 8}) * 2 - 1;
  for (int i = 0; i < 20; ++i) set.names.push_back("q" + std::to_string(i));
  set.items.resize(20);
  set.classes.resize(20);
  set.items[3] = 17;
  set.classes[3] = "7";
  save_query_set(set, folder.path());
  const QuerySet again = load_query_set(folder.path());
  CHECK(torch::equal(again.images, set.images));
  CHECK(again.names == set.names);
  CHECK((again.items == set.items));
  CHECK((again.classes == set.classes));
  const PngImage sheet = read_png(folder / "sheet.png");
  CHECK(sheet.width == 16 * 34 + 2);
  CHECK(sheet.height == 2 * 34 + 2);
  replace_file(folder / "queries.npy", encode_npy({{19, 1, 8, 8}, std::vector<float>(19 * 64)}), false);
  CHECK_THROWS_WITH_AS((void)load_query_set(folder.path()), doctest::Contains("queries.npy"), Error);
  replace_file(folder / "queries.json", "{}", false);
  CHECK_THROWS_WITH_AS((void)load_query_set(folder.path()), doctest::Contains("queries.json"), Error);
}
