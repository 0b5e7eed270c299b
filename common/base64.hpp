#pragma once
// Base64 with padding (RFC 4648 section 4), for data: URIs.
#include <cstdint>
#include <span>
#include <string>

namespace guda {

[[nodiscard]] std::string base64(std::span<const std::uint8_t> bytes);

}  // namespace guda
