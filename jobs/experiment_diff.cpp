#include "jobs/experiment_diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace guda::jobs {
namespace {

/// A list whose entries all have different names, as a map by name; empty if it is no such list.
std::map<std::string, Json> by_name(const Json& list) {
  std::map<std::string, Json> named;
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string()) return {};
    named[entry["name"].get<std::string>()] = entry;
  }
  return named.size() == list.size() ? named : std::map<std::string, Json>{};
}

bool has_names(const Json& value) { return value.is_array() && (value.empty() || !by_name(value).empty()); }

/// A list of structs in the order of its names, to tell whether only the order changed.
std::vector<std::string> names_of(const Json& list) {
  std::vector<std::string> names;
  for (const Json& entry : list) names.push_back(entry["name"].get<std::string>());
  return names;
}

void diff(const std::string& at, const Json& before, const Json& after, std::vector<std::string>& lines);

template <class Map>
void diff_maps(const std::string& at, const Map& before, const Map& after, std::vector<std::string>& lines) {
  const auto path = [&](const std::string& key) { return at.empty() ? key : at + "." + key; };
  const auto shown = [](const Json& value) { return value.is_structured() ? std::string() : " " + value.dump(); };
  for (const auto& [key, value] : before) {
    const auto found = after.find(key);
    if (found == after.end()) lines.push_back(fmt::format("{}: removed{}", path(key), shown(value)));
    else diff(path(key), value, found->second, lines);
  }
  for (const auto& [key, value] : after) {
    if (!before.contains(key)) lines.push_back(fmt::format("{}: added{}", path(key), shown(value)));
  }
}

void diff(const std::string& at, const Json& before, const Json& after, std::vector<std::string>& lines) {
  if (before == after) return;
  if (before.is_object() && after.is_object()) {
    diff_maps(at, before.get_ref<const Json::object_t&>(), after.get_ref<const Json::object_t&>(), lines);
  } else if (has_names(before) && has_names(after) && (!before.empty() || by_name(after).size() == after.size())) {
    const auto old_names = by_name(before), new_names = by_name(after);
    if (old_names == new_names)
      lines.push_back(
          fmt::format("{}: order {} -> {}", at, Json(names_of(before)).dump(), Json(names_of(after)).dump()));
    else diff_maps(at, old_names, new_names, lines);
  } else {
    lines.push_back(fmt::format("{}: {} -> {}", at, before.dump(), after.dump()));
  }
}

}  // namespace

std::vector<std::string> experiment_diff(const Json& before, const Json& after) {
  std::vector<std::string> lines;
  diff("", before, after, lines);
  return lines;
}

}  // namespace guda::jobs
