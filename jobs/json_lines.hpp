#pragma once
// Files of one JSON object a line, as prompts come in.
#include <filesystem>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::jobs {

struct JsonLine {
  Json object;
  std::string where;  ///< "prompts.jsonl:17"
};

/// Lines without text are passed over. Throws Error naming file and line of what is no object, or an empty file;
/// IoError.
[[nodiscard]] std::vector<JsonLine> read_json_lines(const std::filesystem::path& file);

/// The text of a key. Throws Error with `where` when it is missing, empty or no text.
[[nodiscard]] std::string text_of(const JsonLine& line, const std::string& key);

/// What a key says: one text or number, or a list of them; none where the key is missing. Throws Error for anything
/// else.
[[nodiscard]] std::vector<std::string> values_of(const JsonLine& line, const std::string& key);

/// Names of styles and objects: underscores stand for spaces, so that Artist_Sketch is "Artist Sketch".
[[nodiscard]] std::string plain_name(std::string name);

}  // namespace guda::jobs
