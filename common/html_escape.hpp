#pragma once
// Names come from users: nothing they contain may become markup, leave an attribute, or end a <script> block.
#include <string>
#include <string_view>

#include "common/json.hpp"

namespace guda {

/// For element content and for attribute values in double or single quotes, in HTML and in SVG. Bytes that are not
/// UTF-8 and control characters other than tab and newline become U+FFFD, so the result is also well-formed XML text.
[[nodiscard]] std::string escape_html(std::string_view text);

/// The JSON for <script type="application/json">: ASCII only, with '<', '>' and '&' as \u escapes, so that neither
/// "</script>" nor "<!--" can occur; JSON.parse gives the value back.
[[nodiscard]] std::string script_json(const Json& json);

}  // namespace guda
