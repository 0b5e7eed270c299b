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

/// What a person can do about errno `code` (full disk, quota, read-only, locks, i/o errors), in brackets; else empty.
[[nodiscard]] std::string errno_cure(int code);
/// "cannot open /x: No such file or directory", with the cure.
[[nodiscard]] std::string errno_text(const std::string& doing, const std::filesystem::path& path, int code);

/// Opens or throws IoError naming path, reason and cure.
[[nodiscard]] Fd open_file(const std::filesystem::path& path, int flags, unsigned mode = 0644);
/// Writes all bytes or throws IoError (disk full, quota, ...).
void write_all(int fd, std::string_view bytes, const std::filesystem::path& path);
/// One fdatasync. After a failure the descriptor must not be synced again: the kernel may have dropped the dirty pages
/// and would report success.
void sync_file(int fd, const std::filesystem::path& path);
void sync_directory(const std::filesystem::path& directory);
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// Writes `path` so that readers see the old or the new content: temporary file, fsync, rename, fsync of the directory.
/// `durable` = false skips the fsyncs (status files that may be lost). Leaves no temporary file when it fails.
void replace_file(const std::filesystem::path& path, std::string_view content, bool durable = true);

/// Like std::filesystem::create_directories, but throws IoError with the cure.
void make_directories(const std::filesystem::path& folder);

/// Publishes a directory: `write(partial)` fills it, checksums.json is added (common/checksums.hpp), every file in it
/// is fsynced, then it is renamed to `target`. An existing target is kept (equal digest means equal content) and the
/// new one dropped. When anything fails, what was written is removed: a full disk must not stay full of halves.
void publish_directory(const std::filesystem::path& target,
                       const std::function<void(const std::filesystem::path&)>& write);

/// Writes, syncs and removes a file of `bytes` zeros in `directory`: throws IoError when the disk is full, read-only,
/// over quota or broken. What a supervisor asks before it starts processes that would fail one after another.
void probe_writable(const std::filesystem::path& directory, std::size_t bytes);

}  // namespace guda
