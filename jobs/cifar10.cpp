#include "jobs/cifar10.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda::jobs {
namespace {
namespace fs = std::filesystem;

constexpr std::uint32_t kSide = 32, kChannels = 3;
constexpr std::size_t kPlane = std::size_t{kSide} * kSide, kRecord = 1 + kChannels * kPlane;
constexpr std::size_t kMostRecords = 10000;  // of one file, as published
constexpr std::size_t kMostClasses = 256;    // a label is one byte
constexpr std::string_view kPrefix = "data_batch_", kSuffix = ".bin";

std::vector<std::string> read_class_names(const fs::path& file) {
  std::vector<std::string> names;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.empty() || names.size() > kMostClasses) {
    throw Error(fmt::format("{}: names {} classes; one name a line is wanted, 1 to {}", file.string(), names.size(),
                            kMostClasses));
  }
  return names;
}

/// data_batch_*.bin by number.
std::vector<fs::path> data_batches(const fs::path& folder) {
  std::map<unsigned, fs::path> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    unsigned number = 0;
    const char* const end = name.data() + name.size() - kSuffix.size();
    const auto read = std::from_chars(name.data() + kPrefix.size(), end, number);
    if (read.ec != std::errc{} || read.ptr != end) {
      throw Error(fmt::format("{}: is not named data_batch_<number>.bin; rename or remove it", entry.path().string()));
    }
    found[number] = entry.path();
  }
  if (failed) throw IoError(fmt::format("cannot read the folder {}: {}", folder.string(), failed.message()));
  if (found.empty()) {
    throw Error(
        fmt::format("{}: holds no data_batch_<number>.bin; dataset.path must be the folder cifar-10-batches-bin of the "
                    "binary version of CIFAR-10",
                    folder.string()));
  }
  std::vector<fs::path> files;
  for (auto& [number, file] : found) files.push_back(std::move(file));
  return files;
}

/// Appends the mean of every square of stored / side pixels.
void append_pixels(const std::uint8_t* planes, std::uint32_t side, std::vector<std::uint8_t>& out) {
  if (side == kSide) {
    out.insert(out.end(), planes, planes + kChannels * kPlane);
    return;
  }
  const std::uint32_t square = kSide / side, area = square * square;
  for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
    for (std::uint32_t row = 0; row < side; ++row) {
      for (std::uint32_t column = 0; column < side; ++column) {
        std::uint32_t sum = area / 2;
        for (std::uint32_t i = 0; i < area; ++i) {
          sum += planes[channel * kPlane + (row * square + i / square) * kSide + column * square + i % square];
        }
        out.push_back(static_cast<std::uint8_t>(sum / area));
      }
    }
  }
}

void append_batch(Dataset& data, const fs::path& file, std::uint32_t side) {
  const std::string bytes = read_file(file);
  const std::size_t records = bytes.size() / kRecord, rest = bytes.size() % kRecord;
  if (rest != 0 || records == 0) {
    throw Error(fmt::format(
        "{}: {} bytes are {} records of {} bytes and {} bytes more: the file is truncated or no CIFAR-10 batch; "
        "fetch it again",
        file.string(), bytes.size(), records, kRecord, rest));
  }
  if (records > kMostRecords) {
    throw Error(fmt::format(
        "{}: is over-long, {} records where a batch has at most {}; fetch it again, or split it into several "
        "data_batch_<number>.bin",
        file.string(), records, kMostRecords));
  }
  for (std::size_t i = 0; i < records; ++i) {
    const auto* const record = reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * kRecord;
    if (record[0] >= data.class_names.size()) {
      throw Error(fmt::format(
          "{}: record {} (from 0): the label {} is out of range, batches.meta.txt names {} classes (0..{}); fetch "
          "both files again",
          file.string(), i, record[0], data.class_names.size(), data.class_names.size() - 1));
    }
    data.labels.push_back(record[0]);
    append_pixels(record + 1, side, data.pixels);
  }
}

}  // namespace

Dataset published_cifar10(const DatasetConfig& config) {
  constexpr std::uint32_t kTraining = 50000, kTest = 10000;
  if (config.train == 0 || config.train > kTraining) {
    throw Error(fmt::format("dataset.train: {} training items were asked for, CIFAR-10 has {}; choose 1..{}",
                            config.train, kTraining, kTraining));
  }
  const std::uint32_t side = config.side == 0 ? kSide : config.side;
  Dataset data;
  data.shape = {kChannels, side, side};
  data.class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  for (std::uint32_t i = 0; i < kTraining + kTest; ++i) data.labels.push_back(i % 10);
  for (std::uint32_t i = 0; i < config.train; ++i) data.train.push_back(i);
  for (std::uint32_t i = kTraining; i < kTraining + kTest; ++i) data.held_out.push_back(i);
  data.content = digest_of(fmt::format("CIFAR-10 as published, not read: {} of side {}", config.train, side));
  return data;
}

Dataset read_cifar10(const fs::path& folder, std::uint32_t side, std::uint32_t& training_items) {
  if (side == 0) side = kSide;
  if (side > kSide || kSide % side != 0 || side < 4) {
    throw Error(fmt::format(
        "dataset.side: images of 32 x 32 can't be averaged to {} pixels a side; known are 32, 16, 8 and 4", side));
  }
  Dataset data;
  data.shape = {kChannels, side, side};
  const std::vector<fs::path> files = data_batches(folder);
  data.class_names = read_class_names(folder / "batches.meta.txt");
  data.pixels.reserve((files.size() + 1) * kMostRecords * data.image_size());
  for (const fs::path& file : files) append_batch(data, file, side);
  training_items = static_cast<std::uint32_t>(data.labels.size());
  if (const fs::path test = folder / "test_batch.bin"; fs::exists(test)) append_batch(data, test, side);
  data.pixels.shrink_to_fit();
  return data;
}

}  // namespace guda::jobs
