#pragma once
// Arrays in NumPy's NPY format, version 1.0 (numpy.lib.format): little-endian float32 and uint8, C order.
#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

namespace guda {

struct NpyArray {
  std::vector<std::uint64_t> shape;
  std::variant<std::vector<float>, std::vector<std::uint8_t>> values;  ///< C order
};

/// Largest array that is read; a file that declares more is refused before anything is allocated.
inline constexpr std::uint64_t kMaxNpyElements = std::uint64_t{1} << 31;

/// Throws IoError when the file can't be read, Error naming it when it's damaged or holds another type or order.
[[nodiscard]] NpyArray read_npy(const std::filesystem::path& file);

/// The bytes of an NPY file. Throws Bug when the shape does not fit the number of values.
[[nodiscard]] std::string encode_npy(const NpyArray& array);

}  // namespace guda
