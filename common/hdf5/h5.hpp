#pragma once
// Thin owners over the HDF5 C API: files, datasets, dimension scales, attributes. hdf5.h is included in h5.cpp only.
// HDF5 as packaged keeps global state without locks: every call here belongs to one thread of a process.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace guda::hdf5 {

/// Owns one HDF5 identifier; closing never throws.
class Handle {
 public:
  Handle() = default;
  Handle(std::int64_t id, int (*close)(std::int64_t)) noexcept : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  [[nodiscard]] std::int64_t get() const noexcept { return id_; }

 private:
  std::int64_t id_ = -1;
  int (*close_)(std::int64_t) = nullptr;
};

/// An array of fixed shape, contiguous in the file. T of the templates: float, double, std::uint8_t, std::int32_t,
/// std::int64_t, std::uint64_t; HDF5 converts between the stored and the asked type.
class Dataset {
 public:
  Dataset() = default;
  Dataset(Handle handle, std::string name) : handle_(std::move(handle)), name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::vector<std::uint64_t> shape() const;

  /// Writes the box [first, first + count); `values` is row-major and holds product(count) elements.
  template <class T>
  void write(const std::vector<std::uint64_t>& first, const std::vector<std::uint64_t>& count, const T* values);
  /// The whole array, row-major.
  template <class T>
  [[nodiscard]] std::vector<T> read() const;
  /// The whole array of a string dataset.
  [[nodiscard]] std::vector<std::string> read_strings() const;

  void set_attribute(const std::string& key, const std::string& text);
  void set_attribute(const std::string& key, double value);
  /// `_FillValue` in the type of the data: what netCDF readers show as missing.
  template <class T>
  void set_fill_attribute(T value);

  /// Makes this 1-d dataset the dimension scale `name`.
  void make_scale(const std::string& name);
  void attach_scale(unsigned dimension, const Dataset& scale);

 private:
  Handle handle_;
  std::string name_;
};

/// An open HDF5 file. File locking is off, so that readers may look while one writer is at work; keeping a second
/// writer away is the caller's business. All failures are IoError with the text of HDF5's error stack.
class File {
 public:
  /// A new file that HDF5 1.8 and everything younger can read, without time stamps: equal content, equal bytes.
  [[nodiscard]] static File create(const std::filesystem::path& path);
  [[nodiscard]] static File open_for_reading(const std::filesystem::path& path);
  [[nodiscard]] static File open_for_writing(const std::filesystem::path& path);

  /// Allocated and filled at once, so that later writes touch raw data only.
  template <class T>
  Dataset create_dataset(const std::string& name, const std::vector<std::uint64_t>& shape, T fill);
  /// 1-d, variable-length UTF-8.
  Dataset create_strings(const std::string& name, const std::vector<std::string>& values);
  [[nodiscard]] Dataset dataset(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const;
  /// Names of everything in the root group, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

  void set_attribute(const std::string& key, const std::string& text);
  void set_attribute(const std::string& key, std::int64_t value);
  void set_attribute(const std::string& key, double value);
  /// Text attributes of the root, by name; numbers are skipped.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> text_attributes() const;

  /// Hands everything to the operating system (survives the death of the process, not of the machine).
  void flush();

 private:
  File(Handle handle, std::filesystem::path path) : handle_(std::move(handle)), path_(std::move(path)) {}
  Handle handle_;
  std::filesystem::path path_;
};

}  // namespace guda::hdf5
