#pragma once
// A text-to-image study small enough for a test: 64 styled digits, embeddings of captions, latents of pixels.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "jobs/captions.hpp"
#include "jobs/dataset.hpp"
#include "jobs/prompts.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/streams.hpp"

namespace guda::test {

inline jobs::Dataset tiny_styled_dataset() {
  jobs::DatasetConfig config;
  config.kind = "styled_digits";
  config.train = 64;
  jobs::Dataset data = jobs::load_dataset(config);
  data.held_out.resize(8);
  return data;
}

/// A model of 4 x 8 x 8 latents that is told 8 tokens of width 16.
inline Json tiny_text_model() {
  return {{"_class_name", "UNet2DConditionModel"},
          {"sample_size", 8},
          {"in_channels", 4},
          {"out_channels", 4},
          {"block_out_channels", {8, 8}},
          {"layers_per_block", 1},
          {"down_block_types", {"DownBlock2D", "CrossAttnDownBlock2D"}},
          {"up_block_types", {"CrossAttnUpBlock2D", "UpBlock2D"}},
          {"cross_attention_dim", 16},
          {"attention_head_dim", 2},
          {"norm_num_groups", 4}};
}

inline std::shared_ptr<const worker::TextTable> tiny_texts(const jobs::Dataset& data) {
  std::set<std::string> texts{""};
  for (const std::string& caption : data.captions) texts.insert(caption);
  for (const char* mode : {"uniform", "style_removed"}) {
    for (const std::string& caption : jobs::anchor_captions(data, {.mode = mode})) texts.insert(caption);
  }
  for (const auto& words : data.descriptors) texts.insert(words.begin(), words.end());
  const auto rows = static_cast<std::int64_t>(texts.size());
  const torch::Tensor numbers = worker::draw_noise(SeedPath(5), 0, {rows, 8, 16});
  return std::make_shared<const worker::TextTable>(std::vector(texts.begin(), texts.end()), numbers,
                                                   numbers.select(1, 0).contiguous());
}

inline std::shared_ptr<const worker::LatentTable> tiny_latents(const jobs::Dataset& data) {
  const auto rows = static_cast<std::int64_t>(data.train.size());
  worker::LatentTable table;
  table.mean = worker::draw_noise(SeedPath(6), 0, {rows, 4, 8, 8});
  table.logvar = torch::full_like(table.mean, -4);
  table.mirrored_mean = table.mean.flip({3}).contiguous();
  table.mirrored_logvar = table.logvar;
  table.scale = 0.5;
  return std::make_shared<const worker::LatentTable>(table);
}

/// All of it; the third style is what leaves.
struct TinyStyles {
  jobs::Dataset data = tiny_styled_dataset();
  worker::Examples examples{data, tiny_latents(data), tiny_texts(data)};
  std::vector<std::uint32_t> removed = items_of(data, 2);
};

}  // namespace guda::test
