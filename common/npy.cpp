#include "common/npy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <string_view>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda {
namespace {

static_assert(std::endian::native == std::endian::little, "NPY data is written as it lies in memory");
constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr std::size_t kPreamble = 10;  // magic, version, length of the header as uint16

/// The text after `key` in the header, a Python dictionary literal written by NumPy.
std::string_view entry(std::string_view header, std::string_view key, const std::string& file) {
  const std::size_t at = header.find(key);
  const std::size_t colon = at == std::string_view::npos ? at : header.find(':', at + key.size());
  if (colon == std::string_view::npos) throw Error(fmt::format("{}: the NPY header has no {}", file, key));
  std::string_view rest = header.substr(colon + 1);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

std::vector<std::uint64_t> read_shape(std::string_view text, const std::string& file) {
  const std::size_t close = text.find(')');
  if (!text.starts_with('(') || close == std::string_view::npos)
    throw Error(file + ": the NPY header has no shape tuple");
  text = text.substr(1, close - 1);
  std::vector<std::uint64_t> shape;
  std::uint64_t elements = 1;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" ,"), text.size()));
    if (text.empty()) return shape;
    std::uint64_t side = 0;
    const auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), side);
    if (error != std::errc{}) throw Error(file + ": the shape in the NPY header is no tuple of whole numbers");
    if (side > kMaxNpyElements || (elements *= side) > kMaxNpyElements) {
      throw Error(fmt::format("{}: the NPY header declares more than {} elements", file, kMaxNpyElements));
    }
    shape.push_back(side);
    text.remove_prefix(static_cast<std::size_t>(next - text.data()));
  }
}

template <class T>
std::vector<T> read_values(std::string_view bytes, const std::vector<std::uint64_t>& shape, const std::string& file) {
  std::uint64_t elements = 1;
  for (const std::uint64_t side : shape) elements *= side;
  if (bytes.size() != elements * sizeof(T)) {
    throw Error(fmt::format("{}: holds {} bytes of data, its shape ({}) needs {}; the file is cut or damaged", file,
                            bytes.size(), fmt::join(shape, ", "), elements * sizeof(T)));
  }
  std::vector<T> values(elements);
  if (elements > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

NpyArray read_npy(const std::filesystem::path& path) {
  const std::string file = path.string();
  const std::string content = read_file(path);
  const std::string_view bytes = content;
  if (bytes.size() < kPreamble || !bytes.starts_with(kMagic)) {
    throw Error(file + ": no NPY file of version 1.0; write it with numpy.save");
  }
  const std::size_t length =
      static_cast<std::uint8_t>(bytes[8]) + std::size_t{256} * static_cast<std::uint8_t>(bytes[9]);
  if (bytes.size() < kPreamble + length) throw Error(file + ": the NPY header is cut");
  const std::string_view header = bytes.substr(kPreamble, length);
  if (!entry(header, "'fortran_order'", file).starts_with("False")) {
    throw Error(file + ": the array is in Fortran order; save numpy.ascontiguousarray(array)");
  }
  NpyArray array;
  array.shape = read_shape(entry(header, "'shape'", file), file);
  const std::string_view type = entry(header, "'descr'", file);
  const std::string_view data = bytes.substr(kPreamble + length);
  if (type.starts_with("'<f4'")) {
    array.values = read_values<float>(data, array.shape, file);
  } else if (type.starts_with("'|u1'")) {
    array.values = read_values<std::uint8_t>(data, array.shape, file);
  } else {
    throw Error(fmt::format("{}: the element type {} is neither '<f4' nor '|u1'; save array.astype('float32')", file,
                            type.substr(0, type.find(','))));
  }
  return array;
}

std::string encode_npy(const NpyArray& array) {
  const bool is_float = std::holds_alternative<std::vector<float>>(array.values);
  std::uint64_t elements = 1;
  for (const std::uint64_t side : array.shape) elements *= side;
  const std::size_t held = std::visit([](const auto& values) { return values.size(); }, array.values);
  if (held != elements)
    throw Bug(fmt::format("an NPY array of {} values has shape ({})", held, fmt::join(array.shape, ", ")));
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", is_float ? "<f4" : "|u1",
                  fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  header.append(63 - (kPreamble + header.size()) % 64, ' ');  // data begins at a multiple of 64 bytes
  header += '\n';
  std::string bytes(kMagic);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  std::visit(
      [&](const auto& values) {
        bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]);
      },
      array.values);
  return bytes;
}

}  // namespace guda
