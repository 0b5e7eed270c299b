#pragma once
// guda-worker --profile: where the time of the steps of an experiment's jobs goes.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/experiment.hpp"
#include "worker/profile/costs.hpp"

namespace guda::worker {

struct ProfileRequest {
  std::string work = "train";  ///< train | unlearn | score
  std::uint32_t steps = 10;    ///< optimizer steps, or forward batches, that are recorded
};

struct Profile {
  std::string label;            ///< of the job, for people
  std::uint64_t steps = 0;      ///< recorded
  double plain_step = 0;        ///< processor seconds of a step that nobody watches
  double recorded_step = 0;     ///< of one that is recorded, without what recording cost
  std::int64_t peak_bytes = 0;  ///< of tensors that the recorded steps made, at any one time
  std::vector<Cost> costs;      ///< of all recorded steps
  std::vector<Span> spans;      ///< the same, one by one, and one span named "step" for each step
};

/// Runs the first job of that kind of the experiment's plan as a worker runs it, after two steps of warm-up: `steps`
/// steps undisturbed, then as many recorded. What the job reads (weights, queries) comes from jobs cut down to almost
/// nothing, since the time of a step does not depend on the values of weights. Works in a folder of its own in the
/// system's temporary folder, which it removes. Throws Error where the experiment has no such job or too few rows to
/// score.
[[nodiscard]] Profile profile_job(const jobs::Experiment& experiment, const ProfileRequest& request);

/// For people: the ten largest costs.
[[nodiscard]] std::string report(const Profile& profile);
[[nodiscard]] Json to_json(const Profile& profile);

/// The command line behind --profile; prints, writes the trace, returns the exit code.
int profile_command(const std::vector<std::string>& arguments);

}  // namespace guda::worker
