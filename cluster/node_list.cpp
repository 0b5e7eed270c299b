#include "cluster/node_list.hpp"

#include <fmt/format.h>

#include <cmath>

#include "common/error.hpp"

namespace guda::cluster {
namespace {

constexpr std::size_t kMostNodes = 65'536;

bool all_digits(std::string_view text) {
  return !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::uint32_t number(std::string_view text, std::string_view whole) {
  if (!all_digits(text)) throw Error(fmt::format("'{}' is not a number in '{}'", text, whole));
  return static_cast<std::uint32_t>(std::stoul(std::string(text)));
}

/// Parts of `text` between commas that are outside brackets.
std::vector<std::string_view> parts_of(std::string_view text, std::string_view whole) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (i == begin) throw Error(fmt::format("an empty entry in the node list '{}'", whole));
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    } else if (text[i] == '[') {
      if (++depth > 1) throw Error(fmt::format("nested brackets in the node list '{}'", whole));
    } else if (text[i] == ']') {
      if (--depth < 0) throw Error(fmt::format("unmatched ']' in the node list '{}'", whole));
    }
  }
  if (depth != 0) throw Error(fmt::format("unmatched '[' in the node list '{}'", whole));
  return parts;
}

void expand(const std::string& head, std::string_view rest, std::string_view whole, std::vector<std::string>& names) {
  const std::size_t open = rest.find('[');
  if (open == std::string_view::npos) {
    if (names.size() >= kMostNodes) throw Error(fmt::format("more than {} nodes in '{}'", kMostNodes, whole));
    names.push_back(head + std::string(rest));
    return;
  }
  const std::size_t close = rest.find(']', open);
  const std::string before = head + std::string(rest.substr(0, open));
  for (const std::string_view range : parts_of(rest.substr(open + 1, close - open - 1), whole)) {
    const std::size_t dash = range.find('-');
    const std::string_view low = range.substr(0, dash),
                           high = dash == std::string_view::npos ? low : range.substr(dash + 1);
    const std::uint32_t first = number(low, whole), last = number(high, whole);
    if (last < first || last - first >= kMostNodes)
      throw Error(fmt::format("'{}' is no range in the node list '{}'", range, whole));
    for (std::uint32_t i = first; i <= last; ++i)
      expand(before + fmt::format("{:0{}}", i, low.size()), rest.substr(close + 1), whole, names);
  }
}

}  // namespace

std::vector<std::string> expand_node_list(std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view part : parts_of(text, text)) expand("", part, text, names);
  return names;
}

std::vector<std::uint32_t> expand_counts(std::string_view text) {
  std::vector<std::uint32_t> counts;
  for (const std::string_view part : parts_of(text, text)) {
    const std::size_t open = part.find("(x");
    std::uint32_t times = 1;
    if (open != std::string_view::npos) {
      if (!part.ends_with(')')) throw Error(fmt::format("'{}' is no count in '{}'", part, text));
      times = number(part.substr(open + 2, part.size() - open - 3), text);
      if (times > kMostNodes) throw Error(fmt::format("more than {} nodes in '{}'", kMostNodes, text));
    }
    counts.insert(counts.end(), times, number(part.substr(0, open), text));
  }
  return counts;
}

double slurm_seconds(std::string_view text) {
  const auto wrong = [&] {
    return Error(fmt::format(
        "'{}' is no Slurm time: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]",
        text));
  };
  std::string_view rest = text;
  double days = 0;
  const std::size_t dash = rest.find('-');
  if (dash != std::string_view::npos) {
    if (!all_digits(rest.substr(0, dash))) throw wrong();
    days = number(rest.substr(0, dash), text);
    rest = rest.substr(dash + 1);
  }
  std::vector<double> fields;
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string_view field = rest.substr(0, colon);
    if (!all_digits(field) || fields.size() == 3) throw wrong();
    fields.push_back(number(field, text));
    if (colon == std::string_view::npos) break;
    rest = rest.substr(colon + 1);
  }
  if (dash != std::string_view::npos) {
    fields.resize(3, 0);
    return days * 86400 + fields[0] * 3600 + fields[1] * 60 + fields[2];
  }
  if (fields.size() == 1) return fields[0] * 60;
  if (fields.size() == 2) return fields[0] * 60 + fields[1];
  return fields[0] * 3600 + fields[1] * 60 + fields[2];
}

std::string slurm_time(double seconds) {
  const auto s = static_cast<std::uint64_t>(std::ceil(seconds));
  const std::string clock = fmt::format("{:02}:{:02}:{:02}", s % 86400 / 3600, s % 3600 / 60, s % 60);
  return s >= 86400 ? fmt::format("{}-{}", s / 86400, clock) : clock;
}

}  // namespace guda::cluster
