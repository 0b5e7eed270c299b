#include "common/frame.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "common/error.hpp"
#include "common/protocol.hpp"

namespace guda {

bool write_frame(int fd, std::string_view bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::string frame(reinterpret_cast<const char*>(&length), sizeof length);
  frame += bytes;
  std::string_view rest = frame;
  while (!rest.empty()) {
    const ssize_t n = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool FrameReader::fill(int fd) {
  char bytes[1 << 14];
  while (true) {
    const ssize_t n = ::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) {
      buffer_.append(bytes, static_cast<std::size_t>(n));
      if (static_cast<std::size_t>(n) < sizeof bytes) return true;  // all there was; the end shows at the next call
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
}

std::optional<std::string> FrameReader::next() {
  std::uint32_t length = 0;
  if (buffer_.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, buffer_.data(), sizeof length);
  if (length > kMaxMessage) throw Error("frame longer than the protocol allows");
  if (buffer_.size() < sizeof length + length) return std::nullopt;
  std::string frame = buffer_.substr(sizeof length, length);
  buffer_.erase(0, sizeof length + length);
  return frame;
}

}  // namespace guda
