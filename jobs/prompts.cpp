#include "jobs/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/captions.hpp"
#include "jobs/json_lines.hpp"

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

/// The lines of a file, checked: every style has pictures, every prompt says a style where the data set's captions do.
std::vector<Prompt> prompts_of_file(const std::filesystem::path& file, const Dataset& dataset) {
  std::vector<Prompt> prompts;
  for (const JsonLine& line : read_json_lines(file)) {
    Prompt& prompt = prompts.emplace_back();
    prompt.text = text_of(line, "prompt");
    if (!dataset.descriptors.empty() && !styled_prompt(prompt.text)) {
      throw Error(fmt::format(
          "{}: the prompt '{}' has no style part; it wants ', artistic style featuring WORDS', or 'An artwork "
          "of OBJECT, with WORDS'",
          line.where, prompt.text));
    }
    if (!line.object.contains("style")) continue;
    const std::string style = plain_name(text_of(line, "style"));
    const auto known = std::find_if(dataset.class_names.begin(), dataset.class_names.end(),
                                    [&](const std::string& name) { return plain_name(name) == style; });
    if (known == dataset.class_names.end())
      throw Error(fmt::format("{}: the style '{}' has no images in the data set", line.where, style));
    prompt.style = static_cast<std::uint32_t>(known - dataset.class_names.begin());
  }
  return prompts;
}

/// `count` of them, in turn.
std::vector<Prompt> in_turn(const std::vector<Prompt>& all, std::uint32_t count) {
  std::vector<Prompt> prompts;
  for (std::uint32_t i = 0; i < count; ++i) prompts.push_back(all[i % all.size()]);
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
    for (const std::string& text : set.prompts) prompts.push_back({text, std::nullopt});
    return in_turn(prompts, count);
  }
  std::error_code missing;
  const bool imagined = dataset.published && !std::filesystem::exists(set.prompt_file, missing);
  if (!set.prompt_file.empty() && !imagined) return in_turn(prompts_of_file(set.prompt_file, dataset), count);
  if (set.kind == "images")
    throw Error(
        fmt::format("queries.{}.prompts: wants the prompt of every image, for a text-to-image model", set.name));
  const auto styles = static_cast<std::uint32_t>(dataset.descriptors.size());
  if (styles == 0)
    throw Error(
        fmt::format("queries.{}.prompts: the data set has no descriptors of styles to make prompts of; name a "
                    "prompt_file",
                    set.name));
  const std::vector<std::string> objects = caption_objects(dataset);
  const std::uint64_t key = (SeedPath(seed) / "prompts" / set.name).value();
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
  if (dataset.descriptors.empty()) {  // captions of any form
    const std::set<std::string> captions(dataset.captions.begin(), dataset.captions.end());
    return {captions.begin(), captions.end()};
  }
  for (const std::string& object : caption_objects(dataset)) texts.push_back(training_caption({object, {}}));
  for (const auto& words : dataset.descriptors) {
    texts.push_back(training_caption({"object", words}));
  }
  return texts;
}

}  // namespace guda::jobs
