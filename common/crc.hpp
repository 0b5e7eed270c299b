#pragma once
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace guda {

/// CRC-32 (zlib's polynomial) of the bytes.
[[nodiscard]] inline std::uint32_t crc32_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

}  // namespace guda
