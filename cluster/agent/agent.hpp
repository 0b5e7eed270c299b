#pragma once
// One per GPU or CPU slot: keeps a guda-worker alive, passes leases down and results up, answers heartbeats.
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "cluster/agent/worker_process.hpp"
#include "common/channel.hpp"
#include "common/chaos.hpp"

namespace guda::cluster {

struct AgentConfig {
  WorkerCommand worker;
  std::string token;                    ///< of this life
  std::string device;                   ///< stable name, e.g. "node3/cpu1"
  double beat_every = 5;                ///< s
  double coordinator_lost_after = 120;  ///< s without a Pulse: leave
  double frozen_after = 120;  ///< s in which a worker with a job says nothing and uses no CPU time: it is replaced
  double cancel_grace = 24;   ///< s a cancelled job may take to hand itself back before its process is killed
  std::string objection;      ///< why this node may not work for the run, with the cure; empty: it may
  ChaosSpec chaos;            ///< faults on purpose
  std::vector<std::string> labels;  ///< of all jobs, in plan order; needed under chaos only
};

/// Why a node with the instruction set `isa` may not work for a plan of `planned`, with the cure; empty when it may.
/// An empty `planned` allows any.
[[nodiscard]] std::string isa_objection(const std::string& planned, const std::string& isa);

/// Runs until the coordinator dismisses us, is lost, our parent is gone, the worker does not start, or `terminate` is
/// set by a signal. Returns true when all peers may be expected to answer MPI_Finalize.
[[nodiscard]] bool run_agent(Channel& channel, const AgentConfig& config, const std::atomic<int>& terminate);

}  // namespace guda::cluster
