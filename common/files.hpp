#pragma once
// Durable files: nothing a reader can see is ever half written.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace guda {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// Opens or throws IoError naming path, reason and cure.
[[nodiscard]] Fd open_file(const std::filesystem::path& path, int flags, unsigned mode = 0644);
/// Writes all bytes or throws IoError (disk full, quota, ...).
void write_all(int fd, std::string_view bytes, const std::filesystem::path& path);
void sync_file(int fd, const std::filesystem::path& path);
void sync_directory(const std::filesystem::path& directory);
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// Writes `path` so that readers see the old or the new content: temporary file, fsync, rename, fsync of the directory.
/// `durable` = false skips the fsyncs (status files that may be lost).
void replace_file(const std::filesystem::path& path, std::string_view content, bool durable = true);

/// Publishes a directory: `write(partial)` fills it, every file in it is fsynced, then it is renamed to `target`.
/// An existing target is kept (equal digest means equal content) and the new one dropped.
void publish_directory(const std::filesystem::path& target, const std::function<void(const std::filesystem::path&)>& write);

}  // namespace guda
