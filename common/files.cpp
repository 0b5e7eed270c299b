#include "common/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/checksums.hpp"
#include "common/error.hpp"
#include "common/full_disk.hpp"

namespace guda {
namespace {

[[noreturn]] void fail(const std::string& doing, const std::filesystem::path& path) {
  throw IoError(errno_text(doing, path, errno));
}

/// Removes what a failed writer leaves behind.
class PartialFile {
 public:
  explicit PartialFile(std::filesystem::path path) : path_(std::move(path)) {}
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile() {
    std::error_code ignored;
    if (!published_) std::filesystem::remove_all(path_, ignored);
  }
  void published() { published_ = true; }

 private:
  std::filesystem::path path_;
  bool published_ = false;
};

}  // namespace

std::string errno_cure(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return " (free space or raise the quota, then run the same command again; nothing committed is lost)";
    case EACCES:
    case EPERM:
    case EROFS:
      return " (is it writable for you? chmod or remount it, then run the same command again)";
    case EIO:
      return " (the disk or its server reports errors, see dmesg; committed work is safe, run the same command again)";
    case ENOLCK:
    case EOPNOTSUPP:
      return " (this file system has no such locks: mount it with them, or use another one)";
    case EMFILE:
    case ENFILE:
      return " (too many open files: raise ulimit -n)";
    case ESTALE:
      return " (the file server forgot it: remount, then run the same command again)";
    default:
      return "";
  }
}

std::string errno_text(const std::string& doing, const std::filesystem::path& path, int code) {
  return doing + " " + path.string() + ": " + std::strerror(code) + errno_cure(code);
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) fail("cannot open", path);
  return fd;
}

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    if (FullDisk::here()) throw IoError(errno_text("cannot write", path, ENOSPC));
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write", path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void sync_file(int fd, const std::filesystem::path& path) {
  if (::fdatasync(fd) != 0) fail("cannot sync", path);
}

void sync_directory(const std::filesystem::path& directory) {
  const Fd fd = open_file(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail("cannot sync", directory);
}

std::string read_file(const std::filesystem::path& path) {
  const Fd fd = open_file(path, O_RDONLY);
  std::string content;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot read", path);
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
  }
}

void replace_file(const std::filesystem::path& path, std::string_view content, bool durable) {
  // The pid keeps two processes apart that replace the same file at the same time.
  const std::filesystem::path partial = path.string() + "." + std::to_string(::getpid()) + ".partial";
  PartialFile written(partial);
  {
    const Fd fd = open_file(partial, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(fd.get(), content, partial);
    if (durable) sync_file(fd.get(), partial);
  }
  if (::rename(partial.c_str(), path.c_str()) != 0) fail("cannot rename to", path);
  written.published();
  if (durable) sync_directory(path.parent_path());
}

void make_directories(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) throw IoError(errno_text("cannot create", folder, code.value()));
}

void publish_directory(const std::filesystem::path& target,
                       const std::function<void(const std::filesystem::path&)>& write) {
  namespace fs = std::filesystem;
  if (fs::exists(target)) return;
  // A link to an artifact of another run that is gone by now.
  if (fs::is_symlink(target)) fs::remove(target);
  const fs::path partial = target.string() + "." + std::to_string(::getpid()) + ".partial";
  fs::remove_all(partial);
  PartialFile written(partial);
  make_directories(partial);
  write(partial);
  write_checksums(partial);
  for (const auto& entry : fs::recursive_directory_iterator(partial)) {
    if (entry.is_regular_file()) {
      const Fd fd = open_file(entry.path(), O_RDONLY);
      sync_file(fd.get(), entry.path());
    }
  }
  sync_directory(partial);
  // Another attempt may have been faster: equal digest, equal content, so ours is dropped.
  if (::rename(partial.c_str(), target.c_str()) == 0) written.published();
  else if (errno != EEXIST && errno != ENOTEMPTY) fail("cannot rename to", target);
  sync_directory(target.parent_path());
}

void probe_writable(const std::filesystem::path& directory, std::size_t bytes) {
  const std::filesystem::path probe = directory / ("probe." + std::to_string(::getpid()) + ".partial");
  const PartialFile removed(probe);
  const Fd fd = open_file(probe, O_WRONLY | O_CREAT | O_TRUNC);
  write_all(fd.get(), std::string(bytes, '\0'), probe);
  sync_file(fd.get(), probe);
}

}  // namespace guda
