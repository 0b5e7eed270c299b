#include "jobs/dataset.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <string_view>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/random.hpp"
#include "jobs/cifar10.hpp"
#include "jobs/data_folder.hpp"
#include "jobs/picture_dataset.hpp"
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

using ItemRuns = std::vector<std::vector<std::uint32_t>>;

/// `runs` of the items 0, 1, ..., each of `together` of them.
ItemRuns equal_runs(std::uint32_t runs, std::uint32_t together) {
  ItemRuns all(runs);
  for (std::uint32_t item = 0; item < runs * together; ++item) all[item / together].push_back(item);
  return all;
}

/// The versions of a picture, for each picture in the order of its first one.
ItemRuns runs_of_sources(const Dataset& data) {
  ItemRuns all;
  std::map<std::uint32_t, std::size_t> place;
  for (std::uint32_t item = 0; item < data.labels.size(); ++item) {
    const std::uint32_t source = data.sources.empty() ? item : data.sources[item];
    const auto [known, is_new] = place.emplace(source, all.size());
    if (is_new) all.emplace_back();
    all[known->second].push_back(item);
  }
  return all;
}

/// Of the items in `runs`, which stay on one side each, the first config.train of a seeded permutation become training
/// items. Held out is the rest of them or, where the data set has items of its own for that, those.
void split(Dataset& data, const DatasetConfig& config, const fs::path& file, const ItemRuns& runs) {
  const auto items = static_cast<std::uint32_t>(data.labels.size());
  std::uint32_t candidates = 0;
  for (const auto& run : runs) candidates += static_cast<std::uint32_t>(run.size());
  const std::uint32_t wanted = config.of_pictures() && config.train == 0 ? candidates : config.train;
  if (wanted == 0 || wanted > candidates) {
    throw Error(fmt::format("dataset.train: {} training items were asked for, {} holds {}; choose 1..{}", config.train,
                            file.string(), candidates, candidates));
  }
  for (const std::uint32_t run : random_permutation(static_cast<std::uint32_t>(runs.size()),
                                                    (SeedPath(config.split_seed) / "dataset" / "split").value())) {
    auto& side = data.train.size() < wanted ? data.train : data.held_out;
    side.insert(side.end(), runs[run].begin(), runs[run].end());
    if (data.train.size() > wanted) {
      const std::size_t versions = runs[run].size();
      throw Error(fmt::format(
          "dataset.train: {} would split the {} versions of one picture, which is in the training set in all "
          "of its styles or in none; choose {} or {}",
          config.train, versions, data.train.size() - versions, data.train.size()));
    }
  }
  if (items == candidates) return;
  data.held_out.clear();
  for (std::uint32_t item = candidates; item < items; ++item) data.held_out.push_back(item);
}

void split(Dataset& data, const DatasetConfig& config, const fs::path& file, std::uint32_t candidates) {
  split(data, config, file, equal_runs(candidates, 1));
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
  if (!data.files.empty()) {
    bytes += fmt::format("{} {}", data.pictures.hex, data.stretch);
    append(data.sources);
  }
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
    const auto items = static_cast<std::uint32_t>(data.labels.size());
    split(data, config, file, styled ? equal_runs(items / kStyles, kStyles) : equal_runs(items, 1));
  } else if (config.kind == "cifar10") {
    if (config.path.empty())
      throw Error("dataset.path: is not set; name the folder that holds CIFAR-10's data_batch_*.bin");
    std::uint32_t training_items = 0;
    data = read_cifar10(config.path, config.side, training_items);
    split(data, config, config.path, training_items);
  } else if (config.of_pictures()) {
    data = read_pictures(config);
    split(data, config, config.path, runs_of_sources(data));
  } else {
    throw Error(fmt::format(
        "dataset.kind: '{}' is not known; known: digits, styled_digits, cifar10, unlearncanvas, image_folder",
        config.kind));
  }
  data.content = content_of(data);
  return data;
}

bool has_published_counts(const std::string& kind) { return kind == "cifar10" || kind == "unlearncanvas"; }

Dataset published_dataset(const DatasetConfig& config) {
  if (config.kind == "cifar10") {
    Dataset data = published_cifar10(config);
    data.published = true;
    return data;
  }
  if (config.kind != "unlearncanvas") {
    throw Error(
        fmt::format("dataset.path: there is no {}, and what it would hold is not known: {} can't be planned without",
                    config.path.string(), config.kind));
  }
  Dataset data = published_unlearncanvas(config);
  split(data, config, "UnlearnCanvas as published", runs_of_sources(data));
  data.content = digest_of("UnlearnCanvas as published: no pictures " + std::to_string(data.train.size()));
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
