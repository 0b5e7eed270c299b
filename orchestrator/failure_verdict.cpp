#include "orchestrator/failure_verdict.hpp"

namespace guda::orchestrator {

bool may_blame_device(ErrorClass error) {
  return error == ErrorClass::crash || error == ErrorClass::device || error == ErrorClass::out_of_memory ||
         error == ErrorClass::lost;
}

Verdict judge(const JobTrouble& job, ErrorClass error, std::size_t usable_devices, const SchedulerConfig& config) {
  // A job is only blamed after it failed on two devices, where there are two: otherwise the device may be the culprit.
  const auto exhausted = [&](std::uint32_t limit) {
    const bool seen_enough_devices = job.failed_devices.size() >= 2 || usable_devices < 2;
    return (job.failures >= limit && seen_enough_devices) || job.failures >= 2 * limit;
  };
  switch (error) {
    case ErrorClass::divergence:
    case ErrorClass::bad_input:
      return Verdict::quarantine;
    case ErrorClass::io:
      return job.io_failures >= config.io_limit ? Verdict::quarantine : Verdict::back_off;
    // Once more: a neighbour may have had the memory, or our bug may be a race. Less memory is other arithmetic for the
    // whole sweep: guda run halves the micro-batch while no model is finished, later it is a person's decision.
    case ErrorClass::out_of_memory:
    case ErrorClass::bug:
      return exhausted(2) ? Verdict::quarantine : Verdict::again;
    // A node's death says nothing about the job that it had, unless one after another dies of it.
    case ErrorClass::lost: {
      const bool different = job.lost_devices.size() >= config.loss_limit;
      return (different || job.losses >= 2 * config.loss_limit) ? Verdict::quarantine : Verdict::again;
    }
    case ErrorClass::none:
    case ErrorClass::crash:
    case ErrorClass::device:
      return exhausted(config.crash_limit) ? Verdict::quarantine : Verdict::again;
  }
  return Verdict::quarantine;
}

std::string cure_of(ErrorClass error) {
  switch (error) {
    case ErrorClass::out_of_memory:
      return "fewer --workers a machine where its memory ran out; else halve resources.micro_batch (Train and Unlearn "
             "jobs), scoring.batch (Score jobs) or queries[].sampler.batch (Sample jobs): that is other arithmetic for "
             "the whole sweep, so it needs a --run-dir of its own when jobs are finished";
    case ErrorClass::divergence:
      return "lower the learning rate of the method (training.optimizer.lr, methods.*.unlearn) or clip its gradients";
    case ErrorClass::bad_input:
      return "repair what the message names";
    case ErrorClass::io:
      return "free space or repair the file system";
    case ErrorClass::bug:
      return "this is a bug of guda: report it with the log of its rank";
    case ErrorClass::device:
      return "have the devices checked that it failed on";
    case ErrorClass::lost:
      return "every worker that had it was lost: see its memory and the nodes' own logs, then `guda retry`";
    case ErrorClass::none:
    case ErrorClass::crash:
      return "its worker's log (logs/rank-*.log) says more";
  }
  return "";
}

}  // namespace guda::orchestrator
