#pragma once
// What a method's plan() is written with: asks for models, query sets and scores; equal work becomes one job.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"
#include "jobs/plan.hpp"
#include "jobs/prompts.hpp"

namespace guda::jobs {

class PlanBuilder {
 public:
  /// Sets up groups, queries, blocks and slots; throws Error for groups or grids that can't be. `spread`
  /// and `race`: as make_plan().
  PlanBuilder(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
              bool weights_may_be_missing = false, std::span<const double> spread = {},
              const std::vector<RaceLane>& race = {});

  [[nodiscard]] const Experiment& experiment() const { return plan_.experiment; }
  /// An estimate does without the weights of encoders.
  [[nodiscard]] bool weights_may_be_missing() const { return weights_may_be_missing_; }
  [[nodiscard]] std::uint32_t group_count() const { return static_cast<std::uint32_t>(plan_.groups.size()); }

  /// Model trained with random streams `stream` of a run seed; `group` < 0 is the full model, else without that group.
  Digest train(std::uint64_t run_seed, std::uint64_t stream, int group);
  /// Model trained with the run's own streams without these items.
  Digest train_without(std::uint64_t run_seed, const RemovalSet& removal);
  /// The same without what an Attribute job keeps, as experiment().evaluation.removal says.
  Digest train_without_top(std::uint64_t run_seed, const Digest& attribution, const std::string& method);
  /// All items of some groups.
  [[nodiscard]] RemovalSet union_of_groups(const std::vector<std::uint32_t>& groups) const;
  /// The class-conditional model of a run seed (experiment().guide).
  Digest train_guide(std::uint64_t run_seed);
  Digest unlearn(std::uint64_t run_seed, const Digest& from, const MethodConfig& method, int group);
  /// The query set `set` (index into experiment().queries) of a run seed; generated ones come from the full model.
  Digest query_set(std::uint64_t run_seed, std::size_t set);

  /// Scores every query block of a run seed under `weights` on one draw set. `rows` names the data set in results.h5
  /// ("full", "full__<method>" or a method); `group` is ignored for the former two. Where slots wait for a pilot: only
  /// counts what the next stage will plan. Races: what the rounds so far ask for (jobs/plan_race.cpp).
  void score(std::uint64_t run_seed, const Digest& weights, const std::string& rows, int group, std::uint32_t draw_set);
  /// Scores the pilot's queries where adaptive slots want it: under the reference's models of the first run seed.
  void pilot(std::uint64_t run_seed, const Digest& weights, const std::string& method, int group);
  /// Draws a generated query set again under other weights, from the same noise.
  Digest regenerate(std::uint64_t run_seed, std::size_t set, const Digest& weights, const std::string& removed);
  /// What `weights` draw from a few noises that are the same for every model of a run seed: for the report.
  void preview(std::uint64_t run_seed, const Digest& weights, const std::string& model_label);
  /// Features of the whole training split, in blocks of `block` items: fills first and count of `spec`.
  [[nodiscard]] std::vector<Digest> item_features(std::uint64_t run_seed, FeaturesSpec spec, std::uint32_t block);
  /// Features of a query set, one job per query block: fills queries, first and count of `spec`. `drawn`: the Sample
  /// job that drew it again; empty: the set itself.
  std::vector<Digest> query_features(std::uint64_t run_seed, std::size_t set, FeaturesSpec spec,
                                     const Digest& drawn = {});
  /// One Attribute job for a query set; fills its queries and groups.
  void attribute(std::uint64_t run_seed, std::size_t set, const std::string& name, AttributeSpec spec,
                 double cost = 0.2);
  /// The job that keeps instances under this name: an Attribute job, or the Mirror job of the set's first block; Bug
  /// where there is none.
  [[nodiscard]] const Digest& attribution(std::uint64_t run_seed, std::size_t set, const std::string& name) const;
  /// One Mirror job per query block of every set; fills its queries, block and groups.
  void mirror(std::uint64_t run_seed, const std::string& name, const MirrorSpec& spec, double cost_per_query);
  [[nodiscard]] const Dataset& dataset() const { return dataset_; }
  /// Seconds of so many images through the experiment's model, forward, or forward and backward.
  [[nodiscard]] double forward_cost(double images) const;
  [[nodiscard]] double training_cost(double images) const;

  // Of text-to-image experiments (jobs/plan_pipeline.cpp).
  [[nodiscard]] bool text_to_image() const { return !plan_.experiment.pipeline.empty(); }
  /// The frozen text encoder with its tokenizer; the autoencoder (empty: the model works on pixels); the model that
  /// others are fine-tuned from (empty: they begin with random weights). The same for every run seed.
  Digest text_encoder();
  Digest autoencoder();
  Digest base_model();
  /// Embeddings of the texts called `what`, each text once, in blocks.
  const std::vector<Digest>& text_features(const std::string& what,
                                           const std::function<std::vector<std::string>()>& make_texts);
  /// Moments of the training images' latents, in blocks, mirrored ones too with `flip`; none without an autoencoder.
  const std::vector<Digest>& latents(bool base, bool flip);
  /// Embeddings of the training items' captions, of the base's with `base`, and of a query set's prompts; all with that
  /// of no caption.
  const std::vector<Digest>& captions(bool base);
  const std::vector<Digest>& prompts(std::uint64_t run_seed, std::size_t set);

  /// Orders by digest of content; the builder is spent.
  [[nodiscard]] Plan finish() &&;

 private:
  /// Empty for models without text, as the prompts are.
  [[nodiscard]] Conditioning training_conditioning(bool base, bool flip);
  [[nodiscard]] Conditioning unlearning_conditioning(const UnlearnConfig& unlearn);
  /// Of the query set's prompts.
  [[nodiscard]] Conditioning query_conditioning(std::uint64_t run_seed, std::size_t set);
  /// Asked for again and again, read once.
  const std::vector<Prompt>& prompts_of(std::uint64_t run_seed, const QuerySetConfig& set, std::uint32_t count);
  /// pipeline.folder's autoencoder at the size of the pictures, or the one that is trained.
  [[nodiscard]] Json autoencoder_config() const;
  [[nodiscard]] std::string folder_content(const std::string& part) const;
  /// Removes a set of the plan, or what a job keeps, or nothing; `what` is for the label.
  Digest train_model(std::uint64_t run_seed, std::uint64_t stream, const Digest& removal, const TopRemoval& top,
                     const std::string& what);
  Digest add(Work work, std::string label, std::vector<Digest> inputs, double cost, std::vector<Placement> placements,
             bool reads_dataset);
  /// Blocks of a query set, by number, with the set's first row on the query axis.
  struct SetBlocks {
    std::uint32_t begin = 0;
    std::vector<std::uint32_t> blocks;
  };
  [[nodiscard]] SetBlocks blocks_of(std::uint64_t run_seed, std::size_t set) const;
  /// A model whose losses fill rows of results.h5.
  struct ScoredModel {
    std::uint64_t run_seed = 0;
    Digest weights;
    std::string rows;
    int group = -1;
    std::uint32_t draw_set = 0;
  };
  struct SetBlock {
    std::uint32_t block = 0;
    std::size_t set = 0;
    std::uint32_t set_begin = 0;  ///< the set's first row on the query axis
  };
  /// One Score job: queries of a block, on the query axis and ascending, on consecutive slots.
  struct ScoredBlock {
    SetBlock of;
    std::vector<std::uint32_t> queries;
    std::uint32_t first_slot = 0, slots = 0;
    std::string note;  ///< for the label
  };
  void score_block(const ScoredModel& model, const ScoredBlock& what);
  /// Counts it for the next stage.
  void postpone(const ScoredModel& model, const ScoredBlock& what);
  [[nodiscard]] std::vector<SetBlock> blocks_of_seed(std::uint64_t run_seed) const;
  void race(const ScoredModel& model);
  void follow_races(const ScoredModel& full);
  [[nodiscard]] ScoredBlock round_of_race(const SetBlock& block, std::uint32_t draw_set, std::uint32_t round) const;

  Plan plan_;
  double tokens_;  ///< of a text
  Digest text_encoder_, autoencoder_, base_;
  std::map<std::tuple<std::uint64_t, std::string, std::uint32_t>, std::vector<Prompt>> prompts_;
  std::map<std::string, std::vector<Digest>> features_;  ///< of texts and latents, by name
  const Dataset& dataset_;
  const bool weights_may_be_missing_;
  std::unordered_map<Digest, std::size_t> index_;
  std::map<std::tuple<std::uint64_t, std::size_t, std::string>, Digest> attributions_;
  std::set<std::tuple<Digest, std::uint32_t, std::uint32_t>> postponed_;  // weights, block, first slot
  std::vector<ScoredModel> followers_;                                    // full models of races
};

/// Digest of a removal set's items.
[[nodiscard]] Digest removal_digest(const std::vector<std::uint32_t>& items);

}  // namespace guda::jobs
