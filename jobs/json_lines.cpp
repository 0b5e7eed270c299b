#include "jobs/json_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda::jobs {

std::vector<JsonLine> read_json_lines(const std::filesystem::path& file) {
  std::istringstream text(read_file(file));
  std::vector<JsonLine> lines;
  std::size_t number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object())
      throw Error(fmt::format("{}: is no JSON object; a line is {{\"file\": .., \"prompt\": ..}}", where));
    lines.push_back({std::move(object), where});
  }
  if (lines.empty()) throw Error(file.string() + ": holds no line");
  return lines;
}

std::string text_of(const JsonLine& line, const std::string& key) {
  const auto found = line.object.find(key);
  if (found == line.object.end()) throw Error(fmt::format("{}: the key '{}' is missing", line.where, key));
  if (!found->is_string() || found->get_ref<const std::string&>().empty())
    throw Error(fmt::format("{}: '{}' wants a text, not {}", line.where, key, found->dump()));
  return found->get<std::string>();
}

std::vector<std::string> values_of(const JsonLine& line, const std::string& key) {
  const auto found = line.object.find(key);
  if (found == line.object.end() || found->is_null()) return {};
  std::vector<std::string> values;
  for (const Json& value : found->is_array() ? *found : Json::array({*found})) {
    if (!value.is_string() && !value.is_number() && !value.is_boolean())
      throw Error(fmt::format("{}: '{}' wants a word or a list of words, not {}", line.where, key, found->dump()));
    values.push_back(value.is_string() ? value.get<std::string>() : value.dump());
  }
  return values;
}

std::string plain_name(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

}  // namespace guda::jobs
