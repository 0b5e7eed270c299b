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
  bool negated = false;    ///< second member of an antithetic pair: the same draw with the other sign
  std::uint32_t stratum = 0, unit = 0;  ///< of drawn slots (common/slot_sampling.hpp), within the draw set
  auto operator<=>(const Slot&) const = default;
};

/// The training items that an Attribute job kept as the most influential: known only once that job is done.
struct TopRemoval {
  Digest from;                           ///< the Attribute job
  std::uint32_t queries = 0, items = 0;  ///< the first `items` of each of its first `queries` queries
  bool operator==(const TopRemoval&) const = default;
  [[nodiscard]] bool empty() const { return from.empty(); }
};

/// What a text-to-image job reads beside the weights it works on. Empty: the model is one of pixels without text.
struct Conditioning {
  Digest autoencoder;  ///< where there are queries: images to and from latents; empty: the model works on pixels
  std::vector<Digest> latents;  ///< where there are training items: Features jobs over the training split, in order
  std::vector<Digest> texts;    ///< Features jobs over every caption, prompt or anchor that the job needs
  bool operator==(const Conditioning&) const = default;
  [[nodiscard]] bool empty() const { return *this == Conditioning{}; }
};

/// Trains on the training split minus `removal` or `top`. Leaves weights.
struct TrainSpec {
  Json model;
  DiffusionConfig diffusion;
  TrainingConfig training;
  std::uint64_t seed = 0;         ///< names the shared random streams; equal for the full model and every group
  Digest removal;                 ///< digest of a removal set of the plan; empty = the full model
  double label_dropout = 0;       ///< guides only: share of rows without their class
  std::uint32_t gang = 0;         ///< workers that share every batch; 0: one trains alone
  std::uint32_t micro_batch = 0;  ///< rows of a batch that are computed at once; 0: all
  TopRemoval top;                 ///< empty unless a method's top items are removed
  Digest from;                    ///< weights that it starts from; empty: random ones
  Conditioning conditioning;      ///< text-to-image models only
  double caption_dropout = 0;     ///< text-to-image models only: share of rows without their caption
  bool base = false;              ///< trains on load_base_dataset() instead
  double kl_weight = 0;           ///< autoencoders only
};

/// Unlearns `removal` from the weights of `from`. Leaves weights.
struct UnlearnSpec {
  Digest from;
  DiffusionConfig diffusion;
  UnlearnConfig unlearn;
  std::uint64_t seed = 0;
  Digest removal;
  Digest guide;                   ///< esd_class: a class-conditional model; empty otherwise
  std::uint32_t micro_batch = 0;  ///< rows of a step, of both halves together, that are computed at once; 0: all
  Conditioning conditioning;      ///< text-to-image models only
};

/// Makes a query set. Leaves queries.
struct SampleSpec {
  Digest from;  ///< generated: the full model; empty otherwise
  DiffusionConfig diffusion;
  QuerySetConfig set;
  std::uint64_t seed = 0;
  std::vector<std::string> names;    ///< query names; query_id(name) keys all noise of a query
  std::vector<std::string> prompts;  ///< one each; text-to-image models only
  Conditioning conditioning;         ///< text-to-image models only
};

/// Squared errors of a block of queries on slots under given weights. Leaves loss rows [query, slot] float32.
struct ScoreSpec {
  Digest weights;
  Digest queries;
  DiffusionConfig diffusion;
  std::uint32_t first = 0, count = 0;  ///< block of queries within the query set
  std::vector<std::uint32_t> chosen;   ///< instead of a block: these `count` queries of the set; empty: the block
  std::vector<Slot> slots;             ///< weights are not used by the job and not part of its digest
  std::uint32_t batch = 256;
  std::uint64_t noise_seed = 0;
  Conditioning conditioning;  ///< text-to-image models only: a query is scored under its own prompt, without guidance
};

/// Group scores of a whole query set from features. Leaves score rows [query, group] float64; with
/// gradients.keep_instances also an artifact.
struct AttributeSpec {
  std::string method;      ///< a control, similarity, or one of the gradient methods
  std::uint32_t k = 5;     ///< knn
  std::uint64_t seed = 0;  ///< random
  Digest queries;
  std::vector<Digest> groups;  ///< removal sets, one per group, in group order

  GradientConfig gradients;
  SimilarityConfig similarity;
  std::vector<Digest> item_features;                 ///< Features jobs over the training items, in order
  std::vector<Digest> query_features;                ///< Features jobs over the query set, in order
  std::vector<std::uint32_t> timesteps;              ///< kde_elbo
  std::vector<double> alpha_bars, timestep_weights;  ///< kde_elbo: A_t and w_t of each of them
  std::string embedding;                             ///< similarity npy: digest of both arrays' bytes
};

/// Features of a block of training items (`queries` empty) or of a query set. Leaves features.npy.
struct FeaturesSpec {
  std::string kind;  ///< gradients | fisher | clip | latents | texts
  Digest weights;    ///< gradients, fisher: the full model; latents: the autoencoder; texts: the text encoder
  DiffusionConfig diffusion;
  Digest queries;
  std::uint32_t first = 0, count = 0;  ///< positions in the training split, or in the query set
  std::string loss;                    ///< gradients: error | squared_output | mean_output
  bool normalised = false;             ///< gradients: of each image and timestep have length 1
  std::uint32_t timesteps = 0;         ///< gradients: evenly spaced; fisher: passes
  std::string projection;
  std::uint32_t dimension = 0;
  bool flip = false;  ///< fisher
  std::uint64_t seed = 0;
  std::filesystem::path encoder;  ///< clip
  std::string encoder_content;    ///< clip: digest of its files
  bool projected = false;
  bool base = false;               ///< latents: of load_base_dataset()
  std::vector<std::string> texts;  ///< texts: what to embed
  Conditioning conditioning;       ///< gradients, fisher of text-to-image models only
};

/// Puts a part of a text-to-image pipeline into the run: copied from a folder, or a new text encoder with its
/// tokenizer. Leaves weights.
struct ComponentSpec {
  std::string part;              ///< unet | vae | text_encoder (with tokenizer)
  std::filesystem::path folder;  ///< of the pipeline; empty: a new text encoder
  std::string content;           ///< digest of its files
  std::filesystem::path lora;    ///< unet: merged into its weights; empty: none
  std::string lora_content;      ///< digest of that file
  TextEncoderConfig text_encoder;
  std::vector<std::string> texts;  ///< whose words the new tokenizer knows
};

/// Unlearns every query of a block and measures what training items lose. Leaves score rows [query, group] float64.
struct MirrorSpec {
  std::string method;  ///< abu | choi | mucs
  Digest weights;
  DiffusionConfig diffusion;
  Digest queries;
  std::uint32_t first = 0, count = 0;  ///< block of queries within the query set
  std::vector<Digest> fisher;          ///< Features jobs of kind fisher
  std::vector<Digest> groups;
  AscentConfig ascent;
  MucsConfig mucs;
  std::uint64_t seed = 0;
  Conditioning conditioning;  ///< text-to-image models only: of the queries and of the training items
};

using Work =
    std::variant<TrainSpec, UnlearnSpec, SampleSpec, ScoreSpec, AttributeSpec, FeaturesSpec, MirrorSpec, ComponentSpec>;

/// Arithmetic that can change the last bits; part of every digest.
struct Numerics {
  std::string device = "cpu";
  std::string isa;                ///< e.g. avx2; filled by the planner from the device pool
  std::string dtype = "float32";  ///< of products: float32 | tf32 | bfloat16 (resources.precision)
  std::uint32_t threads = 1;
  std::uint32_t micro_batch = 0;  ///< resources.micro_batch, or less since memory ran out; in the Train and Unlearn
                                  ///< jobs that it divides
  bool deterministic = false;     ///< resources.deterministic; a CPU always is
};

/// Where a job's rows belong in results.h5. Empty method: leaves no rows (weights, queries).
struct Placement {
  std::string method;       ///< "full" | a method's name
  std::uint32_t group = 0;  ///< of loss rows
  std::uint32_t query = 0;  ///< first row on the query axis; of chosen queries see query_of_row()
  std::uint32_t block = 0;  ///< query block
  std::uint32_t slot = 0;   ///< loss rows: first slot on the slot axis; score rows: first row of the job's table
};

/// Where row `row` of a Score job lies on the query axis.
[[nodiscard]] inline std::uint32_t query_of_row(const ScoreSpec& spec, const Placement& at, std::uint32_t row) {
  return at.query + (spec.chosen.empty() ? row : spec.chosen[row] - spec.chosen.front());
}

struct JobSpec {
  Digest digest;
  std::string label;  ///< for people: "unlearn retrack_exact -7 (seed 0)"
  Work work;
  std::vector<Digest> inputs;         ///< jobs whose artifacts this one reads
  double cost = 0;                    ///< predicted seconds; device-seconds are these times gang_of(work)
  std::vector<Placement> placements;  ///< not part of the digest
};

/// Name of the kind, as printed and as recorded: train, unlearn, sample, score, attribute, features, mirror, component.
[[nodiscard]] const char* kind_of(const Work& work) noexcept;

/// Workers of one node that do the work together: 1 but for training jobs of an experiment with resources.gang.
[[nodiscard]] std::uint32_t gang_of(const Work& work) noexcept;

/// Rows of a training or unlearning step, of both halves together, which micro-batches divide; 0: there are none.
[[nodiscard]] std::uint32_t step_rows(const TrainingConfig& config) noexcept;
[[nodiscard]] std::uint32_t step_rows(const UnlearnConfig& config) noexcept;

/// Whether unlearning asks the full model what it predicts.
[[nodiscard]] bool is_taught(const UnlearnConfig& config) noexcept;

/// The jobs that a Conditioning names.
[[nodiscard]] std::vector<Digest> inputs_of(const Conditioning& conditioning);
/// Appends `more` to a job's inputs.
void append(std::vector<Digest>& inputs, const std::vector<Digest>& more);

/// Whether the work leaves weights: it trains, unlearns, or brings a component.
[[nodiscard]] constexpr bool leaves_weights(const Work& work) noexcept {
  return std::holds_alternative<TrainSpec>(work) || std::holds_alternative<UnlearnSpec>(work) ||
         std::holds_alternative<ComponentSpec>(work);
}

/// Whether the work leaves rows [query, group] of scores.
[[nodiscard]] constexpr bool leaves_scores(const Work& work) noexcept {
  return std::holds_alternative<AttributeSpec>(work) || std::holds_alternative<MirrorSpec>(work);
}

/// Canonical JSON of the work; throws Error on a wrong or missing key when read.
[[nodiscard]] Json to_json(const Work& work);
[[nodiscard]] Work work_from_json(const Json& json);

}  // namespace guda::jobs
