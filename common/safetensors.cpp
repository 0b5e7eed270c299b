#include "common/safetensors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace guda {
namespace {

constexpr std::uint64_t kMaxHeader = 64ULL << 20;
constexpr std::uint64_t kPrefix = 8;  // the header's length
constexpr int kMaxDepth = 3;          // header object, tensor object, shape array
constexpr const char* kMetadataKey = "__metadata__";
constexpr std::size_t kMaxRank = 16;
constexpr std::uint64_t kMaxDimension = 1ULL << 48;  // keeps sizes positive in signed arithmetic even of empty tensors

struct DtypeRow {
  Dtype dtype;
  const char* name;
  std::size_t size;
};
constexpr std::array kDtypes{DtypeRow{Dtype::f64, "F64", 8}, DtypeRow{Dtype::f32, "F32", 4},
                             DtypeRow{Dtype::f16, "F16", 2}, DtypeRow{Dtype::bf16, "BF16", 2},
                             DtypeRow{Dtype::i64, "I64", 8}, DtypeRow{Dtype::i32, "I32", 4},
                             DtypeRow{Dtype::u8, "U8", 1},   DtypeRow{Dtype::boolean, "BOOL", 1}};

const DtypeRow& row_of(Dtype dtype) noexcept { return kDtypes[static_cast<std::size_t>(dtype)]; }

/// Bytes of a tensor, or nothing when they exceed 64 bits.
bool bytes_of(const TensorEntry& entry, std::uint64_t& bytes) {
  bytes = row_of(entry.dtype).size;
  for (const std::uint64_t n : entry.shape) {
    if (__builtin_mul_overflow(bytes, n, &bytes)) return false;
  }
  return true;
}

bool looks_like_pickle(const std::filesystem::path& path, std::string_view first_bytes) {
  static constexpr std::array kExtensions{".bin", ".pt", ".pth", ".ckpt", ".pkl"};
  const std::string extension = path.extension().string();
  if (std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end()) return true;
  // A zip archive (torch.save), or pickle protocol 2 and later.
  return first_bytes.starts_with("PK\x03\x04") ||
         (first_bytes.size() >= 2 && first_bytes[0] == '\x80' && first_bytes[1] >= 2 && first_bytes[1] <= 5 &&
          first_bytes.substr(2, 6).find('\0') == std::string_view::npos);
}

/// Parses within kMaxDepth; a key that stands twice in one object is an error.
Json parse_header(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= kMaxDepth) throw Error("it is nested too deeply");
      if (event == Event::object_start) keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) throw Error("the name '" + key + "' stands twice in it");
    }
    return true;
  };
  return Json::parse(text.begin(), text.end(), check);
}

std::uint64_t unsigned_from(const Json& value) {
  if (!value.is_number_unsigned()) throw Error("'" + value.dump() + "' is not a whole number >= 0");
  return value.get<std::uint64_t>();
}

TensorEntry entry_from(const Json& json) {
  if (!json.is_object()) throw Error("its description is not an object");
  for (const auto& [key, value] : json.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") throw Error("unknown key '" + key + "'");
  }
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!json.contains(key)) throw Error(fmt::format("'{}' is missing", key));
  }
  TensorEntry entry;
  const std::string dtype = json["dtype"].is_string() ? json["dtype"].get<std::string>() : json["dtype"].dump();
  const auto row = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeRow& r) { return dtype == r.name; });
  if (row == kDtypes.end()) {
    throw Error("dtype '" + dtype + "' is not one of F64, F32, F16, BF16, I64, I32, U8, BOOL");
  }
  entry.dtype = row->dtype;
  const Json &shape = json["shape"], &offsets = json["data_offsets"];
  if (!shape.is_array() || shape.size() > kMaxRank) {
    throw Error(fmt::format("shape is not an array of at most {} numbers", kMaxRank));
  }
  for (const Json& n : shape) {
    entry.shape.push_back(unsigned_from(n));
    if (entry.shape.back() > kMaxDimension) throw Error("a dimension of its shape exceeds 2^48");
  }
  if (!offsets.is_array() || offsets.size() != 2) throw Error("data_offsets is not a pair");
  entry.begin = unsigned_from(offsets[0]);
  entry.end = unsigned_from(offsets[1]);
  return entry;
}

}  // namespace

std::size_t size_of(Dtype dtype) noexcept { return row_of(dtype).size; }

const char* to_string(Dtype dtype) noexcept { return row_of(dtype).name; }

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : path_(std::move(path)) {
  fd_ = open_file(path_, O_RDONLY);
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw IoError(path_.string() + " is not a regular file");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (size_ > 0) {
    void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_.get(), 0);
    if (map == MAP_FAILED) throw IoError(fmt::format("cannot map {}: {}", path_.string(), std::strerror(errno)));
    map_ = static_cast<const std::byte*>(map);
  }
  try {
    read_header();
  } catch (...) {
    if (map_) ::munmap(const_cast<std::byte*>(map_), size_);
    throw;
  }
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept { *this = std::move(other); }

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(map_, other.map_);
  std::swap(size_, other.size_);
  std::swap(data_begin_, other.data_begin_);
  std::swap(tensors_, other.tensors_);
  std::swap(metadata_, other.metadata_);
  return *this;
}

SafetensorsFile::~SafetensorsFile() {
  if (map_) ::munmap(const_cast<std::byte*>(map_), size_);
}

void SafetensorsFile::read(const std::string& name, std::uint64_t first, std::span<std::byte> to) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || first > found->second.end - found->second.begin ||
      to.size() > found->second.end - found->second.begin - first) {
    throw Bug("safetensors: bytes beyond the tensor '" + name + "'");
  }
  std::uint64_t at = data_begin_ + found->second.begin + first;
  while (!to.empty()) {
    const ssize_t got = ::pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw IoError(
          fmt::format("cannot read {}: {}", path_.string(), got == 0 ? "it was cut meanwhile" : std::strerror(errno)));
    }
    to = to.subspan(static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
}

void SafetensorsFile::fail(const std::string& what) const {
  throw Error(fmt::format("{}: {}. Cure: copy or save the file again", path_.string(), what));
}

void SafetensorsFile::read_header() {
  const std::string_view file(reinterpret_cast<const char*>(map_), size_);
  if (looks_like_pickle(path_, file.substr(0, 8))) {
    throw Error(path_.string() +
                ": is a pickle, which can run code when it is read, and is refused. Cure: convert it with "
                "save_pretrained(..., safe_serialization=True)");
  }
  if (size_ < kPrefix) fail(fmt::format("has only {} bytes, too few for a safetensors file", size_));
  std::uint64_t length = 0;
  std::memcpy(&length, map_, kPrefix);
  if (length > kMaxHeader) fail(fmt::format("claims a header of {} bytes, more than the accepted 64 MiB", length));
  if (length > size_ - kPrefix) {
    fail(fmt::format("claims a header of {} bytes, but the file has only {}: it is truncated", length, size_));
  }
  data_begin_ = kPrefix + length;

  Json header;
  try {
    header = parse_header(file.substr(kPrefix, length));
  } catch (const Json::exception& e) {
    fail(fmt::format("its header is not valid JSON ({})", e.what()));
  } catch (const Error& e) {
    fail(fmt::format("its header is refused: {}", e.what()));
  }
  if (!header.is_object()) fail("its header is not a JSON object");

  std::vector<std::pair<std::string, TensorEntry>> in_order;
  for (const auto& [name, value] : header.items()) {
    try {
      if (name == kMetadataKey) {
        if (!value.is_object()) throw Error("is not an object");
        for (const auto& [key, text] : value.items()) {
          if (!text.is_string()) throw Error("'" + key + "' is not a string");
          metadata_.emplace(key, text.get<std::string>());
        }
        continue;
      }
      const TensorEntry entry = entry_from(value);
      std::uint64_t bytes = 0;
      if (!bytes_of(entry, bytes)) throw Error("its shape overflows 64 bits");
      if (entry.begin > entry.end || entry.end > size_ - data_begin_) {
        throw Error(fmt::format("data_offsets [{}, {}] are outside of the {} bytes of data: truncated?", entry.begin,
                                entry.end, size_ - data_begin_));
      }
      if (entry.end - entry.begin != bytes) {
        throw Error(fmt::format("has {} bytes where its shape needs {}", entry.end - entry.begin, bytes));
      }
      in_order.emplace_back(name, entry);
    } catch (const Error& e) {
      fail(fmt::format("'{}': {}", name, e.what()));
    }
  }
  std::sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.begin, a.second.end) < std::pair(b.second.begin, b.second.end);
  });
  std::uint64_t expected = 0;
  for (const auto& [name, entry] : in_order) {
    if (entry.begin != expected) {
      fail(fmt::format("'{}': {} the tensor before it (starts at byte {}, not {})", name,
                       entry.begin < expected ? "overlaps" : "leaves a gap after", entry.begin, expected));
    }
    expected = entry.end;
  }
  if (expected != size_ - data_begin_) {
    fail(fmt::format("{} bytes follow the last tensor", size_ - data_begin_ - expected));
  }
  tensors_.insert(in_order.begin(), in_order.end());
}

std::span<const std::byte> SafetensorsFile::bytes(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error(fmt::format("{}: holds no tensor '{}'", path_.string(), name));
  return {map_ + data_begin_ + found->second.begin, found->second.end - found->second.begin};
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return std::tuple(size_of(b.dtype), std::string_view(a.name)) <
           std::tuple(size_of(a.dtype), std::string_view(b.name));
  });
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::uint64_t offset = 0;
  for (const TensorToWrite& t : tensors) {
    std::uint64_t bytes = 0;
    if (!bytes_of({.dtype = t.dtype, .shape = t.shape}, bytes) || bytes != t.bytes.size()) {
      throw Bug("write_safetensors: the bytes of '" + t.name + "' do not fit its shape");
    }
    if (t.name == kMetadataKey || header.contains(t.name)) throw Bug("write_safetensors: name '" + t.name + "' twice");
    header[t.name] = {{"dtype", to_string(t.dtype)}, {"shape", t.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();

  const std::filesystem::path partial = fmt::format("{}.{}.partial", path.string(), ::getpid());
  {
    const Fd fd = open_file(partial, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(fd.get(), {reinterpret_cast<const char*>(&length), kPrefix}, partial);
    write_all(fd.get(), text, partial);
    for (const TensorToWrite& t : tensors) {
      write_all(fd.get(), {reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()}, partial);
    }
    sync_file(fd.get(), partial);
  }
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (error) throw IoError(fmt::format("cannot rename {} to {}: {}", partial.string(), path.string(), error.message()));
  sync_directory(path.parent_path());
}

}  // namespace guda
