#pragma once
// One job in, one result out. The only entry from the serving loop (worker_main.cpp) into the computation.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "common/protocol.hpp"
#include "jobs/dataset.hpp"
#include "jobs/plan.hpp"
#include "jobs/spec.hpp"
#include "worker/training/checkpoint_rule.hpp"

namespace guda {
class NodeCache;
}

namespace guda::worker {

class ModelStore;

struct Progress {
  std::uint64_t step = 0, steps = 0;
  double loss = 0;           ///< last loss; NaN where a job has none
  double checkpoint_in = 0;  ///< s to the next planned checkpoint; 0 where a job keeps none
};

/// What a job may see. Lives as long as the worker process; one thread.
struct Context {
  const jobs::Plan& plan;
  const jobs::Dataset& dataset;
  /// Folders searched for an input's artifact folder <digest>/; the first one is where new artifacts are published.
  std::vector<std::filesystem::path> artifact_folders;
  /// Called at least once per optimizer step or forward batch; must be cheap. Throws Cancelled to stop the job.
  std::function<void(const Progress&)> progress;
  CheckpointRule checkpoints;                        ///< of jobs that keep any (jobs::keeps_checkpoints)
  std::string worker = "worker";                     ///< name of this worker, in checkpoints
  std::function<void(const std::string&)> log;       ///< a line for the worker's log; may be empty
  std::optional<GangSeat> seat = std::nullopt;       ///< of the job at hand, when it is a gang's
  double gang_patience = 300;                        ///< s that a member of a gang waits for another one
  NodeCache* cache = nullptr;                        ///< artifacts are read through it; nullptr: where they lie
  ModelStore* models = nullptr;                      ///< what is kept loaded between jobs; nullptr: nothing
  std::optional<std::uint32_t> next = std::nullopt;  ///< position in the plan of the job that will probably follow
};

/// Thrown out of Context::progress when the job must be handed back. Nothing has been published; Train and Unlearn have
/// saved a checkpoint.
struct Cancelled {};

/// A table of one job, row-major; exactly one of the two vectors is filled. Loss rows are float32, score rows float64.
struct Rows {
  std::uint32_t rows = 0, columns = 0;
  std::vector<float> losses;
  std::vector<double> scores;
};

struct JobResult {
  Rows rows;                      ///< empty for jobs that leave an artifact
  Json metrics = Json::object();  ///< e.g. final loss, images/s; small (< 1 KB), goes into the journal
  double earlier_seconds = 0;     ///< device-seconds of earlier attempts that this one went on from
};

/// Runs the job; its artifact, if any, has been published under artifact_folders[0]/<digest> when it returns. Jobs that
/// keep checkpoints go on from <digest>.checkpoints/ there; Train and Unlearn take what an earlier attempt has
/// published before it died. Of a gang only the root reads checkpoints, writes and publishes. Throws Error (class
/// decides about retries), Cancelled, GangBroken (another member is to blame), or c10::Error for out-of-memory and
/// device faults.
[[nodiscard]] JobResult execute(const jobs::JobSpec& job, Context& context);

}  // namespace guda::worker
