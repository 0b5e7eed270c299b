#include "worker/diffusion/query_set.hpp"

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/npy.hpp"
#include "common/png_image.hpp"

namespace guda::worker {
namespace {

constexpr int kSchema = 1;
constexpr std::int64_t kSheetColumns = 16, kSheetQueries = 256, kSmallestTile = 32, kMargin = 2;

std::uint8_t to_byte(float x) {
  return static_cast<std::uint8_t>(std::lround(std::clamp((x + 1.0F) * 127.5F, 0.0F, 255.0F)));
}

/// The first queries side by side, small pictures enlarged by a whole factor.
PngImage contact_sheet(const torch::Tensor& images) {
  const std::int64_t shown = std::min(images.size(0), kSheetQueries);
  const std::int64_t height = images.size(2), width = images.size(3);
  const std::int64_t channels = images.size(1) == 3 ? 3 : 1;
  const std::int64_t zoom = std::max<std::int64_t>(1, kSmallestTile / std::max(height, width));
  const std::int64_t columns = std::min(shown, kSheetColumns), lines = (shown + columns - 1) / columns;
  const std::int64_t step_y = height * zoom + kMargin, step_x = width * zoom + kMargin;
  PngImage sheet{static_cast<std::uint32_t>(columns * step_x + kMargin),
                 static_cast<std::uint32_t>(lines * step_y + kMargin),
                 static_cast<std::uint32_t>(channels),
                 {}};
  constexpr std::uint8_t kGrey = 96;
  sheet.pixels.assign(std::size_t{sheet.width} * sheet.height * sheet.channels, kGrey);
  const auto pixel = images.accessor<float, 4>();
  for (std::int64_t n = 0; n < shown; ++n) {
    for (std::int64_t y = 0; y < height * zoom; ++y) {
      for (std::int64_t x = 0; x < width * zoom; ++x) {
        const std::int64_t row = n / columns * step_y + kMargin + y, column = n % columns * step_x + kMargin + x;
        for (std::int64_t c = 0; c < channels; ++c) {
          sheet.pixels[static_cast<std::size_t>((row * sheet.width + column) * channels + c)] =
              to_byte(pixel[n][c][y / zoom][x / zoom]);
        }
      }
    }
  }
  return sheet;
}

template <class T>
Json nullable(const std::vector<std::optional<T>>& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(value ? Json(*value) : Json());
  return list;
}

template <class T>
std::vector<std::optional<T>> read_nullable(const Json& list) {
  std::vector<std::optional<T>> values;
  for (const Json& value : list) values.push_back(value.is_null() ? std::nullopt : std::optional<T>(value.get<T>()));
  return values;
}

}  // namespace

void save_query_set(const QuerySet& set, const std::filesystem::path& folder) {
  const torch::Tensor images = set.images.to(torch::kCPU, torch::kFloat32).contiguous();
  NpyArray array;
  for (const std::int64_t side : images.sizes()) array.shape.push_back(static_cast<std::uint64_t>(side));
  array.values = std::vector<float>(images.data_ptr<float>(), images.data_ptr<float>() + images.numel());
  Json index{
      {"schema", kSchema}, {"names", set.names}, {"items", nullable(set.items)}, {"classes", nullable(set.classes)}};
  if (!set.prompts.empty()) index["prompts"] = set.prompts;
  replace_file(folder / "queries.npy", encode_npy(array), false);
  replace_file(folder / "queries.json", index.dump(1) + "\n", false);
  replace_file(folder / "sheet.png", encode_png(contact_sheet(images)), false);
}

QuerySet load_query_set(const std::filesystem::path& folder) {
  const std::filesystem::path index_file = folder / "queries.json", array_file = folder / "queries.npy";
  QuerySet set;
  try {
    const Json index = Json::parse(read_file(index_file));
    if (index.at("schema") != kSchema) throw Error(index_file.string() + ": written by another version of guda");
    set.names = index.at("names").get<std::vector<std::string>>();
    set.items = read_nullable<std::uint32_t>(index.at("items"));
    set.classes = read_nullable<std::string>(index.at("classes"));
    set.prompts = index.value("prompts", std::vector<std::string>());
  } catch (const Json::exception& error) {
    throw Error(index_file.string() + ": damaged: " + error.what());
  }
  const NpyArray array = read_npy(array_file);
  const auto* const values = std::get_if<std::vector<float>>(&array.values);
  if (values == nullptr || array.shape.size() != 4)
    throw Error(array_file.string() + ": is no float32 array [N, C, H, W]");
  if (array.shape[0] != set.names.size() || set.items.size() != set.names.size() ||
      set.classes.size() != set.names.size() || (!set.prompts.empty() && set.prompts.size() != set.names.size())) {
    throw Error(array_file.string() + ": holds another number of queries than queries.json");
  }
  const std::vector<std::int64_t> shape(array.shape.begin(), array.shape.end());
  set.images = torch::empty(shape, torch::kFloat32);
  std::copy(values->begin(), values->end(), set.images.data_ptr<float>());
  return set;
}

QuerySet chosen_queries(const QuerySet& set, std::span<const std::uint32_t> positions) {
  for (const std::uint32_t at : positions) {
    if (at >= set.names.size()) {
      throw Error("query " + std::to_string(at) + " lies outside of a set of " + std::to_string(set.names.size()));
    }
  }
  const auto pick = [&](const auto& all) {
    std::decay_t<decltype(all)> some;
    for (const std::uint32_t at : positions) {
      if (!all.empty()) some.push_back(all.at(at));  // only text-to-image models have prompts
    }
    return some;
  };
  const std::vector<std::int64_t> rows(positions.begin(), positions.end());
  return {set.images.index_select(0, torch::tensor(rows)), pick(set.names), pick(set.items), pick(set.classes),
          pick(set.prompts)};
}

}  // namespace guda::worker
