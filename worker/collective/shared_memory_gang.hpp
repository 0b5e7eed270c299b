#pragma once
// A gang of processes of one node that meet in POSIX shared memory (/dev/shm): 2 MiB a member, whatever the size of the
// model. Nothing in it outlives the members: its name is removed as soon as all have come.
#include <cstdint>
#include <functional>
#include <memory>

#include "common/protocol.hpp"
#include "worker/collective/gang.hpp"

namespace guda::worker {

struct GangPatience {
  double seconds = 300;  ///< that one member may keep the others waiting, or be late for the first meeting
  std::function<void()> while_waiting = [] {};  ///< called every few milliseconds; may throw, to leave
};

/// Waits for the other members. Throws what Gang's members throw, and IoError when there is no memory to share.
[[nodiscard]] std::unique_ptr<Gang> join_gang(const GangSeat& seat, GangPatience patience);

}  // namespace guda::worker
