#pragma once
// Length-prefixed messages over a stream socket between agent and worker.
#include <optional>
#include <string>
#include <string_view>

namespace guda {

/// Writes one frame completely (blocking). Returns false when the other side is gone.
[[nodiscard]] bool write_frame(int fd, std::string_view bytes);

/// Collects frames from a descriptor.
class FrameReader {
 public:
  /// Reads what is there without blocking. Returns false when the other side is gone and all that it sent was read
  /// before; frames stay available.
  [[nodiscard]] bool fill(int fd);
  /// Next complete frame. Throws Error for a length above kMaxMessage.
  [[nodiscard]] std::optional<std::string> next();

 private:
  std::string buffer_;
};

}  // namespace guda
