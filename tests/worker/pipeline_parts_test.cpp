#include "worker/pipeline_parts.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/models/lora.hpp"
#include "worker/models/unet2d_condition.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("a new text encoder: its tokenizer knows the words, equal seeds give equal embeddings, texts differ") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  jobs::ComponentSpec spec;
  spec.part = "text_encoder";
  spec.text_encoder = {.hidden_size = 16, .layers = 2, .heads = 2, .tokens = 24};
  spec.texts = jobs::vocabulary_texts(data);
  const test::ScratchFolder scratch;
  std::vector<EmbeddedTexts> embedded;
  const std::vector<std::string> texts{data.captions[0], data.captions[1], ""};
  for (const char* name : {"a", "b"}) {
    make_component(spec, scratch / name);
    const text::ClipTokenizer tokenizer(scratch / name / "tokenizer");
    for (const std::string& caption : data.captions) CHECK(tokenizer.encode(caption).size() <= 24);
    ClipText encoder = load_clip_text(scratch / name / "text_encoder");
    embedded.push_back(embed_texts(tokenizer, encoder, texts, torch::kCPU));
  }
  CHECK(torch::equal(embedded[0].embeddings, embedded[1].embeddings));
  CHECK(embedded[0].embeddings.sizes() == at::IntArrayRef{3, 24, 16});
  CHECK(embedded[0].pooled.sizes() == at::IntArrayRef{3, 16});
  CHECK_FALSE(torch::equal(embedded[0].embeddings[0], embedded[0].embeddings[1]));
  CHECK(embedded[0].embeddings.isfinite().all().item<bool>());

  std::filesystem::create_directories(scratch / "texts");
  save_texts(texts, embedded[0], scratch / "texts");
  const TextTable table = load_texts(std::vector<std::filesystem::path>{scratch / "texts"});
  CHECK(torch::equal(table.embeddings(texts), embedded[0].embeddings));
  CHECK(torch::equal(table.pooled(std::vector<std::string>{texts[1]})[0], embedded[0].pooled[1]));
  replace_file(scratch / "texts" / "texts.json", "[\"one\"]", false);
  CHECK_THROWS_WITH_AS((void)load_texts(std::vector<std::filesystem::path>{scratch / "texts"}),
                       doctest::Contains("texts.json: is not the list"), Error);
}

TEST_CASE("components of a folder: safetensors and configs are taken, pickles stay behind and are no weights") {
  const test::ScratchFolder scratch;
  const auto vae = (scratch / "pipeline") / "vae";
  std::filesystem::create_directories(vae);
  replace_file(vae / "config.json", "{}", false);
  replace_file(vae / "diffusion_pytorch_model.bin", "pickle", false);
  jobs::ComponentSpec spec;
  spec.part = "vae";
  spec.folder = scratch / "pipeline";
  CHECK_THROWS_WITH_AS(make_component(spec, scratch / "out"), doctest::Contains("safe_serialization=True"), Error);
  replace_file(vae / "diffusion_pytorch_model.safetensors", "weights", false);
  make_component(spec, scratch / "taken");
  CHECK(std::filesystem::exists(scratch / "taken" / "diffusion_pytorch_model.safetensors"));
  CHECK_FALSE(std::filesystem::exists(scratch / "taken" / "diffusion_pytorch_model.bin"));
}

TEST_CASE("components of a folder: a LoRA is merged into the unet, one of another model is refused") {
  const test::ScratchFolder scratch;
  UNet2DCondition model = make_unet2d_condition(test::tiny_text_model(), 3);
  save_unet2d_condition(model, test::tiny_text_model(), scratch / "pipeline" / "unet");
  const std::string layer = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v";
  write_lora(scratch / kLoraFile, {{layer, {torch::ones({2, 16}), torch::full({8, 2}, 0.25), 0.5}}});
  jobs::ComponentSpec spec;
  spec.part = "unet";
  spec.folder = scratch / "pipeline";
  spec.lora = scratch / kLoraFile;
  make_component(spec, scratch / "merged");
  const UNet2DCondition merged = load_unet2d_condition(scratch / "merged");
  const auto before = model->named_parameters();
  for (const auto& p : merged->named_parameters()) {
    CAPTURE(p.key());
    const double added = p.key() == layer + ".weight" ? 0.25 : 0;
    CHECK(torch::allclose(p.value(), before[p.key()] + added, 1e-6, 1e-6));
  }
  write_lora(scratch / kLoraFile, {{"nowhere", {torch::ones({2, 16}), torch::ones({8, 2}), 1}}});
  CHECK_THROWS_WITH_AS(make_component(spec, scratch / "again"), doctest::Contains("nowhere"), Error);
}
