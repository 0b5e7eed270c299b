#pragma once
// Text that is safe to show, to compare and to write as JSON.
#include <optional>
#include <string>
#include <string_view>

namespace guda::config {

/// 1-based line of the first byte that is not part of well-formed UTF-8, or is NUL.
[[nodiscard]] std::optional<int> find_bad_utf8(std::string_view text);

/// Name ("U+0007") of the first control character other than newline and tab.
[[nodiscard]] std::optional<std::string> find_control_character(std::string_view text);

}  // namespace guda::config
