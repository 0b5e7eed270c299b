#pragma once
// Workers that train one model together: what they say to each other. They meet in memory that processes of one node
// share (shared_memory_gang.hpp); what lies on GPUs can go over NCCL (gpu_gang.hpp).
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace at {
class Tensor;
}

namespace guda::worker {

/// Thrown when a member can't go on because another one has left. It is not to blame: its job is handed back.
struct GangBroken {
  std::string why;
};

/// All members call the same functions in the same order with equal sizes. Each waits for all: until one has left
/// (GangBroken), has not come for too long (IoError that names it), or the job is taken back (whatever `while_waiting`
/// of the implementation throws). After that, or when a member is destroyed, the others are broken, too. One thread.
class Gang {
 public:
  Gang() = default;
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;
  virtual ~Gang() = default;

  /// 0 is the root, which writes checkpoints and results.
  [[nodiscard]] virtual std::uint32_t rank() const = 0;
  [[nodiscard]] virtual std::uint32_t size() const = 0;
  /// values[i] becomes the sum over the members, added up in the order of ranks: the same bits for every member, and
  /// in every run.
  virtual void all_reduce(std::span<float> values) = 0;
  /// The same for a dense float32 tensor on any device, through the host's memory unless an implementation has a
  /// shorter way, which may add up in another order, but in a fixed one where the worker is deterministic.
  virtual void all_reduce(at::Tensor& values);
  /// The root's bytes for everybody.
  virtual void broadcast(std::span<std::byte> bytes) = 0;
  /// Nobody goes on before all are here.
  virtual void barrier() = 0;
};

}  // namespace guda::worker
