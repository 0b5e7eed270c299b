#include "jobs/captions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/error.hpp"

namespace guda::jobs {
namespace {

struct Form {
  std::string_view begin, style;
};
constexpr Form kTraining{"A depiction of ", ", artistic style featuring "};
constexpr Form kQuery{"An artwork of ", ", with "};
constexpr std::string_view kComma = ", ";

std::string write(const Form& form, const Caption& caption) {
  if (caption.descriptors.empty()) return fmt::format("{}{}", form.begin, caption.object);
  return fmt::format("{}{}{}{}", form.begin, caption.object, form.style, fmt::join(caption.descriptors, kComma));
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = list.find(kComma);
    parts.emplace_back(list.substr(0, end));
    if (end == std::string_view::npos) return parts;
    list.remove_prefix(end + kComma.size());
  }
}

}  // namespace

std::string training_caption(const Caption& caption) { return write(kTraining, caption); }

std::string query_prompt(const Caption& caption) { return write(kQuery, caption); }

Caption parse_caption(std::string_view text) {
  for (const Form& form : {kTraining, kQuery}) {
    if (!text.starts_with(form.begin)) continue;
    const std::string_view rest = text.substr(form.begin.size());
    const std::size_t style = rest.find(form.style);
    Caption caption{std::string(rest.substr(0, style)), {}};
    if (style != std::string_view::npos) caption.descriptors = split(rest.substr(style + form.style.size()));
    const bool gap = std::any_of(caption.descriptors.begin(), caption.descriptors.end(),
                                 [](const std::string& word) { return word.empty(); });
    if (!caption.object.empty() && !gap) return caption;
  }
  throw Error(fmt::format("the caption '{}' is neither '{}OBJECT{}WORDS' nor '{}OBJECT{}WORDS'", text, kTraining.begin,
                          kTraining.style, kQuery.begin, kQuery.style));
}

std::string without_style(std::string_view caption) { return std::string(caption.substr(0, caption.find(kTraining.style))); }

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
