#include "jobs/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/captions.hpp"

namespace guda::jobs {
namespace {

constexpr std::size_t kDescriptors = 3;  // of a prompt, as of a caption

std::vector<Prompt> captions_of(const QuerySetConfig& set, const Dataset& dataset, std::uint32_t count) {
  std::vector<Prompt> prompts;
  for (const std::uint32_t item :
       std::span(set.kind == "held_out" ? dataset.held_out : dataset.train).subspan(set.first, count))
    prompts.push_back({dataset.captions.at(item), dataset.labels.at(item)});
  return prompts;
}

}  // namespace

std::vector<std::string> caption_objects(const Dataset& dataset) {
  std::set<std::string> objects;
  for (const std::string& caption : dataset.captions) objects.insert(parse_caption(caption).object);
  return {objects.begin(), objects.end()};
}

std::vector<Prompt> query_prompts(const QuerySetConfig& set, const Dataset& dataset, std::uint32_t count,
                                  std::uint64_t seed) {
  if (set.kind == "held_out" || set.kind == "training") return captions_of(set, dataset, count);
  std::vector<Prompt> prompts;
  if (!set.prompts.empty()) {
    for (std::uint32_t i = 0; i < count; ++i) prompts.push_back({set.prompts[i % set.prompts.size()], std::nullopt});
    return prompts;
  }
  if (set.kind == "images")
    throw Error(
        fmt::format("queries.{}.prompts: wants the prompt of every image, for a text-to-image model", set.name));
  const std::vector<std::string> objects = caption_objects(dataset);
  const std::uint64_t key = (SeedPath(seed) / "prompts" / set.name).value();
  const auto styles = static_cast<std::uint32_t>(dataset.descriptors.size());
  if (styles == 0)
    throw Error(fmt::format("queries.{}.prompts: the data set has no styles to make prompts of", set.name));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t style = i % styles;
    const auto& words = dataset.descriptors[style];
    const auto order = random_permutation(static_cast<std::uint32_t>(words.size()), random_bits(key, i));
    Caption caption{objects[i / styles % objects.size()], {}};
    for (std::size_t k = 0; k < std::min(kDescriptors, words.size()); ++k)
      caption.descriptors.push_back(words[order[k]]);
    prompts.push_back({training_caption(caption), style});
  }
  return prompts;
}

std::vector<std::string> anchor_captions(const Dataset& dataset, const AnchorConfig& anchor) {
  std::set<std::string> captions;
  const bool styled = anchor.mode == "weighted_style_select" || anchor.mode == "uniform";
  for (const std::string& object : caption_objects(dataset)) {
    if (anchor.mode == "style_removed") captions.insert(training_caption({object, {}}));
    for (std::size_t style = 0; styled && style < dataset.descriptors.size(); ++style) {
      for (auto& words : descriptor_subsets(dataset.descriptors[style], anchor.descriptors))
        captions.insert(training_caption({object, std::move(words)}));
    }
  }
  return {captions.begin(), captions.end()};
}

std::vector<std::string> vocabulary_texts(const Dataset& dataset) {
  std::vector<std::string> texts;
  for (const std::string& object : caption_objects(dataset)) texts.push_back(training_caption({object, {}}));
  for (const auto& words : dataset.descriptors) {
    texts.push_back(training_caption({"object", words}));
  }
  return texts;
}

}  // namespace guda::jobs
