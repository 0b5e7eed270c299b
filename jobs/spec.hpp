#pragma once
// What work is: the closed set of job kinds as values, and the plan that holds them. A job's digest is that of its
// canonical JSON (with the digests of its inputs inside), so equal work has an equal name in every run.
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/digest.hpp"
#include "common/json.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

/// A sorted set of training items (indices into Dataset) that a counterfactual model must not have seen.
struct RemovalSet {
  std::string label;                 ///< for people: "group 7"
  std::vector<std::uint32_t> items;  ///< sorted, unique
};

/// One noise draw of one timestep.
struct Slot {
  std::uint32_t timestep = 0;
  std::uint32_t draw = 0;  ///< draw number; draw sets are contiguous ranges of draws (oracle first, methods second)
  double weight = 0;       ///< ELBO weight w_t / draws: a score is the plain sum over slots of weight * difference
  auto operator<=>(const Slot&) const = default;
};

/// Trains on the training split minus `removal`. Leaves weights.
struct TrainSpec {
  Json model;
  DiffusionConfig diffusion;
  TrainingConfig training;
  std::uint64_t seed = 0;    ///< names the shared random streams; equal for the full model and every group
  Digest removal;            ///< digest of a removal set of the plan; empty = the full model
  double label_dropout = 0;  ///< guides only: share of rows without their class
};

/// Unlearns `removal` from the weights of `from`. Leaves weights.
struct UnlearnSpec {
  Digest from;
  DiffusionConfig diffusion;
  UnlearnConfig unlearn;
  std::uint64_t seed = 0;
  Digest removal;
  Digest guide;  ///< esd_class: a class-conditional model; empty otherwise
};

/// Makes a query set. Leaves queries.
struct SampleSpec {
  Digest from;  ///< generated: the full model; empty otherwise
  DiffusionConfig diffusion;
  QuerySetConfig set;
  std::uint64_t seed = 0;
  std::vector<std::string> names;  ///< query names; query_id(name) keys all noise of a query
};

/// Squared errors of a block of queries on slots under given weights. Leaves loss rows [query, slot] float32.
struct ScoreSpec {
  Digest weights;
  Digest queries;
  DiffusionConfig diffusion;
  std::uint32_t first = 0, count = 0;  ///< block of queries within the query set
  std::vector<Slot> slots;             ///< weights are not used by the job and not part of its digest
  std::uint32_t batch = 256;
  std::uint64_t noise_seed = 0;
};

/// Group scores of a whole query set from features. Leaves score rows [query, group] float64.
struct AttributeSpec {
  std::string method;      ///< random | pixel_cosine | knn
  std::uint32_t k = 5;     ///< knn
  std::uint64_t seed = 0;  ///< random
  Digest queries;
  std::vector<Digest> groups;  ///< removal sets, one per group, in group order
};

using Work = std::variant<TrainSpec, UnlearnSpec, SampleSpec, ScoreSpec, AttributeSpec>;

/// Arithmetic that can change the last bits; part of every digest.
struct Numerics {
  std::string device = "cpu";
  std::string isa;  ///< e.g. avx2; filled by the planner from the device pool
  std::string dtype = "float32";
  std::uint32_t threads = 1;
};

/// Where a job's rows belong in results.h5. Empty method: leaves no rows (weights, queries).
struct Placement {
  std::string method;       ///< "full" | a method's name
  std::uint32_t group = 0;  ///< of loss rows
  std::uint32_t query = 0;  ///< first row on the query axis
  std::uint32_t block = 0;  ///< query block
  std::uint32_t slot = 0;   ///< loss rows: first slot on the slot axis; score rows: first row of the job's table
};

struct JobSpec {
  Digest digest;
  std::string label;  ///< for people: "unlearn retrack_exact -7 (seed 0)"
  Work work;
  std::vector<Digest> inputs;         ///< jobs whose artifacts this one reads
  double cost = 0;                    ///< predicted device-seconds
  std::vector<Placement> placements;  ///< not part of the digest
};

/// Name of the kind, as printed and as recorded: train, unlearn, sample, score, attribute.
[[nodiscard]] const char* kind_of(const Work& work) noexcept;

/// Canonical JSON of the work; throws Error on a wrong or missing key when read.
[[nodiscard]] Json to_json(const Work& work);
[[nodiscard]] Work work_from_json(const Json& json);

}  // namespace guda::jobs
