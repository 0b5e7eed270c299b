#pragma once
// What the supervisor decides about one life of a run: written into life.json, read by coordinator and agents.
#include <cstdint>
#include <string>

#include "common/json.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// One life of a run, as written by the supervisor into life.json.
struct Life {
  std::uint32_t epoch = 0;
  std::string token;
  std::uint32_t threads = 1;
  double beat_every = 5;
  double cancel_grace = 24;     ///< s that a job gets to hand itself back before its worker is killed
  double deadline = 0;          ///< Unix time at which the machines are taken away; 0: none is known
  std::string chaos;            ///< faults on purpose (common/chaos.hpp); empty: none
  double checkpoint_every = 0;  ///< s between checkpoints inside a job; 0: the workers' rule (docs/reliability.md)
  std::string isa;              ///< that every node must have; empty: any
  double visible_within = 90;   ///< s that rows of another node may take to appear (network file systems)
  SchedulerConfig scheduler;
};
[[nodiscard]] Json to_json(const Life& life);
[[nodiscard]] Life life_from_json(const Json& json);

}  // namespace guda::orchestrator
