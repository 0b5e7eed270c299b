#pragma once
// Why a job waits, failed or is done, told from the plan, the journal and the status of the run. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/run_status.hpp"

namespace guda::orchestrator {

/// One try of a job.
struct AttemptStory {
  std::uint32_t epoch = 0, attempt = 0;
  std::string worker, device, node;  ///< node: the part of the device before '/'
  std::vector<std::string> members;  ///< workers of a gang; of a failed one `worker` is the one that failed
  std::string outcome;               ///< done | failed | running | lost (its life ended) | late | repeated
  std::string cause;                 ///< failed: error class; late: verdict of the comparison
  std::string text;                  ///< the error message
  double started = 0, ended = 0;     ///< Unix time, 0: not known
  bool quarantined = false;          ///< after it the job was given up
  std::string cure;                  ///< then: what a person can do
};

struct JobStory {
  std::size_t index = 0;
  std::string digest, label, kind;
  std::string state;                          ///< done | running | quarantined | blocked | ready | waiting
  std::string why;                            ///< one or two sentences for people, with the cure where there is one
  double predicted_seconds = 0, seconds = 0;  ///< of the committed attempt; 0 without one
  std::uint64_t peak_memory = 0, peak_device = 0;  ///< bytes that the committed attempt had at most; 0: not known
  std::vector<std::string> open_inputs;            ///< "label (state)"
  std::vector<std::string> users;                  ///< labels of jobs that read it
  std::vector<AttemptStory> attempts;              ///< in order of time
};
void to_json(Json& j, const JobStory& story);

/// What is known of a run besides its plan.
struct RunFacts {
  const JournalContent& journal;
  const std::vector<bool>& settled;  ///< settled_jobs()
  std::optional<RunStatus> status;   ///< of the life at work
  bool alive = false;
};

/// Given up in the last life that says so, without a commit or a request for another chance behind it. By plan
/// position.
[[nodiscard]] std::vector<bool> quarantined_jobs(const jobs::Plan& plan, const JournalContent& journal);

/// State of every job of the plan, as in JobStory::state.
[[nodiscard]] std::vector<std::string> job_states(const jobs::Plan& plan, const RunFacts& facts);

[[nodiscard]] JobStory tell_job(const jobs::Plan& plan, const RunFacts& facts, std::size_t index);

/// Positions of the jobs that `name` means: a whole label or digest, else every job whose digest begins with it, else
/// every job whose label contains it.
[[nodiscard]] std::vector<std::size_t> find_jobs(const jobs::Plan& plan, const std::string& name);

}  // namespace guda::orchestrator
