#pragma once
// What a failure means for its job: again at once, again later, or never. The table of error classes. Pure.
#include <string>

#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

enum class Verdict { again, back_off, quarantine };

/// May the device be the culprit? A NaN, wrong data, a full file system and our own bugs are the same everywhere.
[[nodiscard]] bool may_blame_device(ErrorClass error);

/// `job`: with this failure counted. `usable_devices`: live ones that are not fenced.
[[nodiscard]] Verdict judge(const JobTrouble& job, ErrorClass error, std::size_t usable_devices,
                            const SchedulerConfig& config);

/// What a person can do about a job that is quarantined for this.
[[nodiscard]] std::string cure_of(ErrorClass error);

}  // namespace guda::orchestrator
