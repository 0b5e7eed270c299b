#pragma once
// The seam between deciding and transport: small messages between numbered peers. MPI in production
// (common/mpi/mpi_channel.hpp), a loopback in tests.
#include <cstdint>
#include <optional>
#include <string>

namespace guda {

struct Envelope {
  std::uint32_t peer = 0;
  std::string bytes;
};

class Channel {
 public:
  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  virtual ~Channel() = default;

  /// Next message, or nothing; never blocks. Messages of one peer arrive in the order sent.
  [[nodiscard]] virtual std::optional<Envelope> receive() = 0;
  /// Queues a message; never blocks. A message to a peer that died is lost without notice.
  virtual void send(std::uint32_t peer, std::string bytes) = 0;
  /// Nothing is sent to the peer any more; what is queued for it is forgotten.
  virtual void abandon(std::uint32_t peer) = 0;
  [[nodiscard]] virtual std::uint32_t rank() const = 0;
  [[nodiscard]] virtual std::uint32_t size() const = 0;
};

}  // namespace guda
