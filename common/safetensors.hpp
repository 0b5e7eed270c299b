#pragma once
// Safetensors files (https://github.com/huggingface/safetensors): the only weight format that is read, since it can
// hold nothing but numbers. Everything in the header is checked before anything is used.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/files.hpp"

namespace guda {

enum class Dtype : std::uint8_t { f64, f32, f16, bf16, i64, i32, u8, boolean };

[[nodiscard]] std::size_t size_of(Dtype dtype) noexcept;
/// As in the file: "F32", "BF16", "BOOL", ...
[[nodiscard]] const char* to_string(Dtype dtype) noexcept;

struct TensorEntry {
  Dtype dtype = Dtype::f32;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0, end = 0;  ///< bytes, relative to the end of the header
};

/// A mapped, read-only file. Any thread. Spans live as long as the object; the file must not be truncated meanwhile
/// (our own files are only ever replaced by rename).
class SafetensorsFile {
 public:
  /// Throws IoError when the file can't be read; Error, naming the file and the cure, when it is a pickle, or its
  /// header is longer than 64 MiB or than the file, or is not JSON of the known shape, or a tensor has an unknown
  /// dtype, overlaps, leaves a gap, or does not have the bytes of its shape.
  explicit SafetensorsFile(std::filesystem::path path);
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&& other) noexcept;
  ~SafetensorsFile();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const std::map<std::string, TensorEntry>& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  /// Row-major little-endian numbers, not necessarily aligned. Error when there is no such tensor.
  [[nodiscard]] std::span<const std::byte> bytes(const std::string& name) const;
  /// Copies a tensor's bytes from `first` on into `to`, past the mapping: nothing of the file counts as this process's
  /// memory. Throws IoError; Bug beyond the tensor's end.
  void read(const std::string& name, std::uint64_t first, std::span<std::byte> to) const;

 private:
  void read_header();
  [[noreturn]] void fail(const std::string& what) const;

  std::filesystem::path path_;
  Fd fd_;
  const std::byte* map_ = nullptr;
  std::uint64_t size_ = 0, data_begin_ = 0;
  std::map<std::string, TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

struct TensorToWrite {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> bytes;
};

/// Replaces `path` whole and durably. Widest type first, then by name, so that equal content gives equal bytes and
/// every tensor is aligned. Throws IoError; Bug when names repeat or bytes do not fit the shape.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace guda
