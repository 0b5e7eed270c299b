#include "orchestrator/retry.hpp"

#include "common/clock.hpp"
#include "orchestrator/journal.hpp"

namespace guda::orchestrator {

void note_retry(const RunLayout& run, const jobs::Plan& plan, RunLock& lock, const ControlRequest& request) {
  const double now = unix_seconds();
  const JournalContent journal = read_journal(run.journal());
  const std::uint32_t epoch = journal.last_epoch + 1;
  lock.set_epoch(epoch);
  JournalWriter writer(run.journal(), epoch, journal.next_sequence);
  writer.add(RecordType::life,
             {{"epoch", epoch}, {"plan", plan.digest.hex}, {"by", request.by}, {"kind", "retry"}, {"time", now}});
  for (const Digest& job : request.jobs)
    writer.add(RecordType::failure, {{"job", job.hex}, {"forgiven", true}, {"by", request.by}, {"time", now}});
  for (const std::string& name : request.unfence) {
    // A device is node/gpu0; a name without '/' is a node.
    const char* what = name.find('/') == std::string::npos ? "node" : "device";
    writer.add(RecordType::fence,
               {{what, name}, {"fenced", false}, {"why", "trusted again by " + request.by}, {"time", now}});
  }
  writer.sync();
}

}  // namespace guda::orchestrator
