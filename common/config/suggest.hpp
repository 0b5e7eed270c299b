#pragma once
// "did you mean ...?"
#include <string>
#include <string_view>
#include <vector>

namespace guda::config {

/// Edits (insert, delete, replace, swap neighbours) between two words, upper and lower case alike.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, if it is near enough to be what was meant; else "".
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "; did you mean 'lr'?", or "" when nothing is near.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b or c"
[[nodiscard]] std::string or_list(const std::vector<std::string>& words);

/// "a|b|c" -> {a, b, c}
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);

}  // namespace guda::config
