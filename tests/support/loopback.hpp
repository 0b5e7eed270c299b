#pragma once
// Channels between threads of one test process, in place of MPI.
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "common/channel.hpp"

namespace guda::test {

class LoopbackNetwork {
 public:
  explicit LoopbackNetwork(std::uint32_t size) : inbox_(size) {}

  class Endpoint final : public Channel {
   public:
    Endpoint(LoopbackNetwork& network, std::uint32_t rank) : network_(network), rank_(rank) {}
    [[nodiscard]] std::optional<Envelope> receive() override {
      const std::lock_guard lock(network_.mutex_);
      auto& inbox = network_.inbox_[rank_];
      if (inbox.empty()) return std::nullopt;
      Envelope e = std::move(inbox.front());
      inbox.pop_front();
      return e;
    }
    void send(std::uint32_t peer, std::string bytes) override {
      const std::lock_guard lock(network_.mutex_);
      network_.inbox_.at(peer).push_back({rank_, std::move(bytes)});
    }
    void abandon(std::uint32_t) override {}
    [[nodiscard]] std::uint32_t rank() const override { return rank_; }
    [[nodiscard]] std::uint32_t size() const override { return static_cast<std::uint32_t>(network_.inbox_.size()); }

   private:
    LoopbackNetwork& network_;
    std::uint32_t rank_;
  };

 private:
  std::mutex mutex_;
  std::vector<std::deque<Envelope>> inbox_;
};

}  // namespace guda::test
