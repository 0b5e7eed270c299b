#pragma once
// Another chance for jobs that were given up, noted in the journal of a run that is not at work.
#include "jobs/plan.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/run_lock.hpp"

namespace guda::orchestrator {

/// Writes a life of its own: `forgiven` failure records for the jobs, fence records with fenced = false for the devices
/// and nodes of the request. The next life reads them. Throws IoError.
void note_retry(const RunLayout& run, const jobs::Plan& plan, RunLock& lock, const ControlRequest& request);

}  // namespace guda::orchestrator
