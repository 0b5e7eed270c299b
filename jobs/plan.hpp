#pragma once
// A plan is a pure function of the experiment, the data set and the device pool: the axes of results.h5 and all jobs.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"
#include "jobs/spec.hpp"

namespace guda::jobs {

struct Query {
  std::string name;               ///< "generated/s0/0007": its query_id() keys all noise
  std::string set;                ///< name of the query set
  std::uint64_t seed = 0;         ///< run seed whose models score it
  std::string true_group;         ///< group of a real query when known, else empty
  std::string role = "reported";  ///< reported | tuning, of its set
};

/// Consecutive queries that one Score job handles.
struct QueryBlock {
  std::uint32_t first = 0, count = 0;
};

/// Names of the draw sets; a slot of draw d belongs to set d / draws_of_set(experiment.scoring). The pilot's draws are
/// not on the slot axis.
inline constexpr std::uint32_t kOracleDraws = 0;
inline constexpr std::uint32_t kMethodDraws = 1;
inline constexpr std::uint32_t kPilotDraws = 2;

/// Name of the Sample jobs that draw the report's counterfactual gallery, and how many pictures each draws.
inline constexpr const char* kPreviewSet = "preview";
inline constexpr std::uint32_t kPreviewCount = 8;

/// Name of the Sample jobs that draw a query set again, query by query under the same names, after a removal.
inline constexpr const char* kRegeneratedSet = "regenerated";

/// Whether the job makes queries that are explained: no preview, nothing regenerated.
[[nodiscard]] inline bool makes_queries(const SampleSpec& spec) {
  return spec.set.name != kPreviewSet && spec.set.name != kRegeneratedSet;
}

/// Whether the job saves its state while it runs, so that a retry does not begin anew.
[[nodiscard]] inline bool keeps_checkpoints(const Work& work) noexcept {
  if (const auto* sample = std::get_if<SampleSpec>(&work)) return !sample->from.empty();
  return std::holds_alternative<TrainSpec>(work) || std::holds_alternative<UnlearnSpec>(work) ||
         std::holds_alternative<MirrorSpec>(work);
}

/// What the next stage of planning will add, once this stage's jobs have said what it is.
struct NextStage {
  std::uint32_t jobs = 0;
  double cost = 0;  ///< predicted device-seconds
  bool operator==(const NextStage&) const = default;
};

/// How far the races of a method's models on a draw set are planned (jobs/race.hpp).
struct RaceLane {
  std::string rows;  ///< the method
  std::uint32_t draw_set = 0;
  std::vector<std::uint8_t> rounds;    ///< [query, group]: rounds that the group takes part in, at least 1
  std::vector<std::uint8_t> finished;  ///< [query]: 1 when no round follows
  bool operator==(const RaceLane&) const = default;
};

struct Plan {
  Experiment experiment;
  Digest dataset;                      ///< content digest of the data set
  std::vector<std::string> groups;     ///< names, in group order
  std::vector<Digest> group_removals;  ///< removal set of each group
  std::map<Digest, RemovalSet> removal_sets;
  std::vector<Query> queries;  ///< the query axis
  std::vector<QueryBlock> blocks;
  std::vector<Slot> slots;  ///< the slot axis: draw set 0 first, then 1; a grid's ascend in t within a draw. Empty
                            ///< while adaptive slots wait for their pilot
  std::vector<double> pilot_spread;  ///< adaptive slots: noise per timestep of the grid, by the pilot; empty: not known
  std::vector<RaceLane> race;        ///< none without scoring.until, and while slots wait for their pilot
  NextStage next;                    ///< no jobs: this plan is the whole of it. Of races: as if no place were decided
  Numerics numerics;
  std::vector<JobSpec> jobs;  ///< inputs precede users
  Digest digest;              ///< of all of the above that shapes the results
};

/// Whether rows of this stage are wanted before the next one can be planned: a pilot's or those of a race's round.
[[nodiscard]] inline bool awaits_next_stage(const Plan& plan) { return plan.next.jobs > 0; }

/// Whether the pilot's rows are wanted before any score can be planned (jobs/pilot.hpp).
[[nodiscard]] inline bool awaits_pilot(const Plan& plan) { return awaits_next_stage(plan) && plan.slots.empty(); }

[[nodiscard]] Json to_json(const Plan& plan);
[[nodiscard]] Plan plan_from_json(const Json& json);

}  // namespace guda::jobs
