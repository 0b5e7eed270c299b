#pragma once
// Channel over MPI: point-to-point only, no blocking call, one thread (docs/architecture.md, "MPI rules").
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "common/channel.hpp"

namespace guda {

/// MPI_Init .. MPI_Finalize. Not finalized while unwinding: other ranks still communicate and a hang would hide the
/// message.
class MpiSession {
 public:
  MpiSession(int* argc, char*** argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  /// Leave without MPI_Finalize (a peer is lost or frozen and would never answer).
  [[noreturn]] static void leave(int code);
};

class MpiChannel final : public Channel {
 public:
  MpiChannel();
  ~MpiChannel() override;
  [[nodiscard]] std::optional<Envelope> receive() override;
  void send(std::uint32_t peer, std::string bytes) override;
  void abandon(std::uint32_t peer) override;
  [[nodiscard]] std::uint32_t rank() const override { return rank_; }
  [[nodiscard]] std::uint32_t size() const override { return size_; }

 private:
  struct Pending;
  void reap();

  std::uint32_t rank_ = 0, size_ = 0;
  std::deque<std::unique_ptr<Pending>> pending_;
  std::set<std::uint32_t> abandoned_;
};

}  // namespace guda
