#include "jobs/captions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/error.hpp"

namespace guda::jobs {
namespace {

constexpr std::string_view kObject = "A depiction of ", kStyle = ", artistic style featuring ", kComma = ", ";
constexpr std::string_view kPromptObject = "An artwork of ", kPromptStyle = ", with ";

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = list.find(kComma);
    parts.emplace_back(list.substr(0, end));
    if (end == std::string_view::npos) return parts;
    list.remove_prefix(end + kComma.size());
  }
}

std::optional<Caption> caption_of_form(std::string_view text, std::string_view before_object,
                                       std::string_view before_style) {
  if (!text.starts_with(before_object)) return std::nullopt;
  const std::string_view rest = text.substr(before_object.size());
  const std::size_t style = rest.find(before_style);
  Caption caption{std::string(rest.substr(0, style)), {}};
  if (style != std::string_view::npos) caption.descriptors = split(rest.substr(style + before_style.size()));
  const bool gap = std::any_of(caption.descriptors.begin(), caption.descriptors.end(),
                               [](const std::string& word) { return word.empty(); });
  if (caption.object.empty() || gap) return std::nullopt;
  return caption;
}

}  // namespace

std::string training_caption(const Caption& caption) {
  if (caption.descriptors.empty()) return fmt::format("{}{}", kObject, caption.object);
  return fmt::format("{}{}{}{}", kObject, caption.object, kStyle, fmt::join(caption.descriptors, kComma));
}

Caption parse_caption(std::string_view text) {
  if (auto caption = caption_of_form(text, kObject, kStyle)) return *std::move(caption);
  throw Error(fmt::format("the caption '{}' is not of the form '{}OBJECT{}WORDS'", text, kObject, kStyle));
}

std::optional<Caption> styled_prompt(std::string_view text) {
  for (const auto& [object, style] : {std::pair{kObject, kStyle}, {kPromptObject, kPromptStyle}}) {
    if (auto caption = caption_of_form(text, object, style); caption && !caption->descriptors.empty()) return caption;
  }
  return std::nullopt;
}

std::string without_style(std::string_view caption) { return std::string(caption.substr(0, caption.find(kStyle))); }

std::vector<std::vector<std::string>> descriptor_subsets(const std::vector<std::string>& descriptors,
                                                         std::size_t size) {
  std::vector<std::vector<std::string>> subsets;
  std::vector<bool> chosen(descriptors.size());
  std::fill_n(chosen.begin(), std::min(size, descriptors.size()), true);
  do {
    std::vector<std::string>& subset = subsets.emplace_back();
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      if (chosen[i]) subset.push_back(descriptors[i]);
    }
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
  return subsets;
}

}  // namespace guda::jobs
