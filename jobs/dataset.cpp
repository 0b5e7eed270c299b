#include "jobs/dataset.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/random.hpp"
#include "jobs/cifar10.hpp"
#include "jobs/data_folder.hpp"
#include "jobs/styled_digits.hpp"

namespace guda::jobs {
namespace {
namespace fs = std::filesystem;

constexpr std::uint32_t kDigitSide = 8, kDigitClasses = 10, kLevels = 17;
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;  // a compressed bomb ends here

/// The text of a plain or gzip-compressed file.
std::string read_text(const fs::path& file) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rb"), &gzclose);
  if (!in) throw IoError(fmt::format("cannot read {}: {}", file.string(), std::strerror(errno)));
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (true) {
    const int n = gzread(in.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
    int code = Z_OK;
    const char* reason = n < 0 ? gzerror(in.get(), &code) : "";
    if (n < 0) throw Error(fmt::format("{}: damaged gzip data ({}); fetch the file again", file.string(), reason));
    if (n == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.size() > kMaxTextBytes) {
      throw Error(
          fmt::format("{}: more than {} MiB of text; this is no digits file", file.string(), kMaxTextBytes >> 20));
    }
  }
  if (!gzeof(in.get())) throw Error(fmt::format("{}: the gzip data ends early; fetch the file again", file.string()));
  return text;
}

/// Appends one row "p0,...,p63,label" to the data set.
void append_row(Dataset& data, std::string_view row, const std::string& where) {
  const char* at = row.data();
  const char* const end = row.data() + row.size();
  const std::size_t columns = data.image_size() + 1;
  for (std::size_t column = 0; column < columns; ++column) {
    unsigned value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    const unsigned limit = column + 1 < columns ? kLevels - 1 : kDigitClasses - 1;
    if (error != std::errc{}) {
      throw Error(fmt::format("{}: column {} of {} is no whole number; a row is 64 pixels 0..16 and a label 0..9",
                              where, column + 1, columns));
    }
    if (value > limit) {
      throw Error(fmt::format("{}: column {} is {}, more than {}; a row is 64 pixels 0..16 and a label 0..9", where,
                              column + 1, value, limit));
    }
    const bool last = column + 1 == columns;
    if (last != (next == end) || (!last && *next != ',')) {
      throw Error(fmt::format("{}: the row does not have {} columns separated by commas", where, columns));
    }
    at = next + 1;
    if (last) {
      data.labels.push_back(value);
    } else {
      data.pixels.push_back(static_cast<std::uint8_t>(value));
    }
  }
}

Dataset read_digits(const fs::path& file) {
  Dataset data;
  data.shape = {1, kDigitSide, kDigitSide};
  data.levels = kLevels;
  for (std::uint32_t digit = 0; digit < kDigitClasses; ++digit) data.class_names.push_back(std::to_string(digit));
  const std::string text = read_text(file);
  std::size_t line = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++line;
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view row = rest.substr(0, end);
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    append_row(data, row, fmt::format("{}:{}", file.string(), line));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (data.labels.empty()) throw Error(fmt::format("{}: holds no row", file.string()));
  return data;
}

/// Of the first `candidates` items `config.train` become training items. Held out is the rest of them or, where the
/// data set has items of its own for that, those. Items come in runs of `together`, which stay on one side.
void split(Dataset& data, const DatasetConfig& config, const fs::path& file, std::uint32_t candidates,
           std::uint32_t together = 1) {
  const auto items = static_cast<std::uint32_t>(data.labels.size());
  if (config.train == 0 || config.train > candidates) {
    throw Error(fmt::format("dataset.train: {} training items were asked for, {} holds {}; choose 1..{}", config.train,
                            file.string(), candidates, candidates));
  }
  if (config.train % together != 0) {
    throw Error(
        fmt::format("dataset.train: {} is no multiple of {}: an image is in the training set in all of its {} "
                    "styles or in none; choose {}",
                    config.train, together, together, config.train / together * together));
  }
  for (const std::uint32_t run :
       random_permutation(candidates / together, (SeedPath(config.split_seed) / "dataset" / "split").value())) {
    auto& side = data.train.size() < config.train ? data.train : data.held_out;
    for (std::uint32_t i = 0; i < together; ++i) side.push_back(run * together + i);
  }
  if (items == candidates) return;
  data.held_out.clear();
  for (std::uint32_t item = candidates; item < items; ++item) data.held_out.push_back(item);
}

Digest content_of(const Dataset& data) {
  Json names = data.class_names;
  std::string bytes =
      fmt::format("{},{},{}/{}/{}", data.shape[0], data.shape[1], data.shape[2], data.levels, names.dump());
  const auto append = [&bytes](const auto& values) {
    const std::size_t count = values.size();
    bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
    bytes.append(reinterpret_cast<const char*>(values.data()), count * sizeof values[0]);
  };
  append(data.pixels);
  append(data.labels);
  append(data.train);
  append(data.held_out);
  if (!data.captions.empty()) bytes += Json(data.captions).dump() + Json(data.descriptors).dump();
  return digest_of(bytes);
}

constexpr auto kStyles = static_cast<std::uint32_t>(kDigitStyles.size());

fs::path digits_file(const DatasetConfig& config) {
  return config.path.empty() ? find_data_file("digits/digits.csv.gz") : config.path;
}

}  // namespace

Dataset load_dataset(const DatasetConfig& config) {
  Dataset data;
  const bool styled = config.kind == "styled_digits";
  if (styled || config.kind == "digits") {
    const fs::path file = digits_file(config);
    data = read_digits(file);
    if (styled) data = styled_digits(data, config.split_seed);
    split(data, config, file, static_cast<std::uint32_t>(data.labels.size()), styled ? kStyles : 1);
  } else if (config.kind == "cifar10") {
    if (config.path.empty())
      throw Error("dataset.path: is not set; name the folder that holds CIFAR-10's data_batch_*.bin");
    std::uint32_t training_items = 0;
    data = read_cifar10(config.path, config.side, training_items);
    split(data, config, config.path, training_items);
  } else {
    throw Error(fmt::format("dataset.kind: '{}' is not known; known: digits, styled_digits, cifar10", config.kind));
  }
  data.content = content_of(data);
  return data;
}

Dataset load_base_dataset(const DatasetConfig& config) {
  if (config.kind != "styled_digits")
    throw Error(fmt::format("dataset.kind: {} has no images without a style to train a base on", config.kind));
  const fs::path file = digits_file(config);
  Dataset data = plain_digits(read_digits(file));
  DatasetConfig plain = config;
  plain.train = config.train / kStyles;
  split(data, plain, file, static_cast<std::uint32_t>(data.labels.size()));
  data.content = content_of(data);
  return data;
}

}  // namespace guda::jobs
