#include "common/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/error.hpp"

namespace guda {
namespace {

[[noreturn]] void fail(const std::string& doing, const std::filesystem::path& path) {
  const int code = errno;
  std::string cure;
  if (code == ENOSPC || code == EDQUOT) cure = " (free space or quota, then run the same command again)";
  if (code == EACCES || code == EROFS || code == EPERM) cure = " (is the directory writable for you?)";
  throw IoError(doing + " " + path.string() + ": " + std::strerror(code) + cure);
}

}  // namespace

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
  {
    const Fd fd = open_file(partial, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(fd.get(), content, partial);
    if (durable) sync_file(fd.get(), partial);
  }
  if (::rename(partial.c_str(), path.c_str()) != 0) fail("cannot rename to", path);
  if (durable) sync_directory(path.parent_path());
}

void publish_directory(const std::filesystem::path& target, const std::function<void(const std::filesystem::path&)>& write) {
  namespace fs = std::filesystem;
  if (fs::exists(target)) return;
  const fs::path partial = target.string() + "." + std::to_string(::getpid()) + ".partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  write(partial);
  for (const auto& entry : fs::recursive_directory_iterator(partial)) {
    if (entry.is_regular_file()) {
      const Fd fd = open_file(entry.path(), O_RDONLY);
      sync_file(fd.get(), entry.path());
    }
  }
  sync_directory(partial);
  if (::rename(partial.c_str(), target.c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) fail("cannot rename to", target);
    fs::remove_all(partial);  // another attempt was faster; equal digest, equal content
  }
  sync_directory(target.parent_path());
}

}  // namespace guda
