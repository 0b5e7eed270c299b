#include "jobs/query_image.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/npy.hpp"
#include "common/png_image.hpp"
#include "common/rgb_picture.hpp"

namespace guda::jobs {
namespace {

[[noreturn]] void wrong_shape(const std::filesystem::path& file, const std::string& found, const Dataset& dataset) {
  throw Error(
      fmt::format("{}: is {}, the data set's images are {} channel(s) of {} x {} pixels; bring it to that size "
                  "yourself, guda does not resize",
                  file.string(), found, dataset.shape[0], dataset.shape[2], dataset.shape[1]));
}

float from_byte(std::uint8_t byte) { return static_cast<float>(byte) / 127.5F - 1.0F; }

std::vector<float> from_png(const std::filesystem::path& file, const Dataset& dataset) {
  const PngImage image = read_png(file);
  const auto [channels, height, width] = dataset.shape;
  if (image.channels != channels || image.height != height || image.width != width) {
    wrong_shape(file, fmt::format("{} channel(s) of {} x {} pixels", image.channels, image.width, image.height),
                dataset);
  }
  std::vector<float> values(image.pixels.size());
  const std::size_t plane = std::size_t{height} * width;
  for (std::size_t i = 0; i < plane; ++i) {
    for (std::size_t c = 0; c < channels; ++c) values[c * plane + i] = from_byte(image.pixels[i * channels + c]);
  }
  return values;
}

/// Brought to the size of the data set's pictures as those were.
std::vector<float> from_picture(const std::filesystem::path& file, const Dataset& dataset) {
  const auto planes = planes_of(squared(decode_picture(read_file(file), file), dataset.shape[1], dataset.stretch));
  std::vector<float> values(planes.size());
  std::transform(planes.begin(), planes.end(), values.begin(), from_byte);
  return values;
}

std::vector<float> from_npy(const std::filesystem::path& file, const Dataset& dataset) {
  NpyArray array = read_npy(file);
  const auto [channels, height, width] = dataset.shape;
  std::vector<std::uint64_t> shape = array.shape;
  if (shape.size() == 2) shape.insert(shape.begin(), 1);  // a grey picture
  if (shape != std::vector<std::uint64_t>{channels, height, width}) {
    wrong_shape(file, fmt::format("an array ({})", fmt::join(array.shape, ", ")), dataset);
  }
  if (const auto* bytes = std::get_if<std::vector<std::uint8_t>>(&array.values)) {
    std::vector<float> values(bytes->size());
    std::transform(bytes->begin(), bytes->end(), values.begin(), from_byte);
    return values;
  }
  auto& values = std::get<std::vector<float>>(array.values);
  const auto bad = std::find_if_not(values.begin(), values.end(), [](float v) { return v >= -1.0F && v <= 1.0F; });
  if (bad != values.end()) {
    throw Error(fmt::format("{}: holds {} at element {}; floating-point pixels lie in [-1, 1]", file.string(), *bad,
                            bad - values.begin()));
  }
  return std::move(values);
}

}  // namespace

std::vector<float> read_query_image(const std::filesystem::path& file, const Dataset& dataset) {
  std::string extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  const bool jpeg = extension == ".jpg" || extension == ".jpeg";
  if (!dataset.files.empty() && (jpeg || extension == ".png")) return from_picture(file, dataset);
  if (extension == ".png") return from_png(file, dataset);
  if (extension == ".npy") return from_npy(file, dataset);
  throw Error(file.string() +
              (dataset.files.empty() ? ": is neither .png nor .npy" : ": is neither .jpg, .png nor .npy"));
}

}  // namespace guda::jobs
