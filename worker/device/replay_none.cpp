#include "worker/device/replay.hpp"

namespace guda::worker {

struct Replay::State {
  std::string why_not = "a CPU has no graphs";
};

Replay::Replay(torch::Device, bool) : state_(std::make_unique<State>()) {}
Replay::~Replay() = default;
void Replay::run(const std::function<void()>& work) { work(); }
bool Replay::is_captured() const { return false; }
const std::string& Replay::why_not() const { return state_->why_not; }

}  // namespace guda::worker
