#include "jobs/plan_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "common/error.hpp"
#include "jobs/cost.hpp"
#include "jobs/experiment_json.hpp"
#include "jobs/groups.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/job_identity.hpp"
#include "jobs/operators.hpp"
#include "jobs/pilot.hpp"
#include "jobs/prompts.hpp"
#include "jobs/race.hpp"
#include "jobs/slot_lists.hpp"
#include "jobs/text_tokens.hpp"

namespace guda::jobs {
namespace {

/// Forwards behind one image. Guided sampling asks the model twice a step, with and without the prompt.
double forwards_of(const SamplerConfig& sampler) { return sampler.steps * (sampler.guidance > 0 ? 2.0 : 1.0); }

std::string removal_label(const Plan& plan, int group) {
  return group < 0 ? "full" : "-" + plan.groups[static_cast<std::size_t>(group)];
}

std::string query_name(const QuerySetConfig& set, std::uint64_t seed, std::uint32_t i) {
  if (set.kind == "images") return fmt::format("{}/s{}/{:04}-{}", set.name, seed, i, set.images[i].stem().string());
  return fmt::format("{}/s{}/{:04}", set.name, seed, i);
}

/// 0 for one worker: digests of plans without gangs are those of versions that had none.
std::uint32_t gang_in_spec(const Experiment& experiment) {
  return experiment.resources.gang > 1 ? experiment.resources.gang : 0;
}

/// 0 where the batch is not divided: digests are then those of plans without micro-batches.
std::uint32_t micro_in_spec(const Numerics& numerics, std::uint32_t rows) {
  return numerics.micro_batch < rows ? numerics.micro_batch : 0;
}

/// Labels tell jobs apart that differ in this alone.
std::string micro_label(std::uint32_t micro_batch) {
  return micro_batch > 0 ? fmt::format(", micro-batch {}", micro_batch) : "";
}

std::string parameters_label(const ParametersConfig& parameters) {
  if (parameters.empty()) return "";
  if (parameters.kind != "lora") return ", " + parameters.kind;
  return fmt::format(", lora {}", parameters.rank);
}

/// Whether the groups bear the names of classes.
bool named_by_class(const GroupsConfig& groups) {
  return groups.by == "class" || groups.by == "noisy" || groups.by == "unequal" ||
         (groups.by == "key" && groups.key == "style");
}

std::uint32_t query_count(const QuerySetConfig& set, const Dataset& dataset) {
  if (set.kind == "images") return static_cast<std::uint32_t>(set.images.size());
  if (set.kind == "held_out") {
    const auto held_out = static_cast<std::uint32_t>(dataset.held_out.size());
    if (set.first >= held_out) {
      throw Error(fmt::format("queries.{}.first: {} passes over all {} held-out items; lower it or dataset.train",
                              set.name, set.first, held_out));
    }
    return std::min(set.count, held_out - set.first);
  }
  if (set.kind == "training") {
    const auto items = static_cast<std::uint32_t>(dataset.train.size());
    if (set.first >= items)
      throw Error(
          fmt::format("queries.{}.first: {} passes over all {} training items; lower it", set.name, set.first, items));
    return std::min(set.count, items - set.first);
  }
  return set.count;
}

/// The item of the data set that a query is, where it is one.
std::optional<std::uint32_t> item_of(const QuerySetConfig& set, const Dataset& dataset, std::uint32_t i) {
  if (set.kind == "held_out") return dataset.held_out.at(set.first + i);
  if (set.kind == "training") return dataset.train.at(set.first + i);
  return std::nullopt;
}

std::vector<std::string> texts_of(const std::vector<Prompt>& prompts) {
  std::vector<std::string> texts;
  for (const Prompt& prompt : prompts) texts.push_back(prompt.text);
  return texts;
}

}  // namespace

Digest removal_digest(const std::vector<std::uint32_t>& items) {
  return digest_of(std::string_view(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(items[0])));
}

PlanBuilder::PlanBuilder(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
                         bool weights_may_be_missing, std::span<const double> spread, const std::vector<RaceLane>& race)
    : tokens_(text_tokens(experiment.pipeline)), dataset_(dataset), weights_may_be_missing_(weights_may_be_missing) {
  plan_.experiment = experiment;
  plan_.dataset = dataset.content;
  plan_.numerics = numerics;
  for (const Group& group : make_groups(experiment.groups, dataset)) {
    const Digest digest = removal_digest(group.items);
    plan_.groups.push_back(group.name);
    plan_.group_removals.push_back(digest);
    plan_.removal_sets[digest] = {"group " + group.name, group.items};
  }
  const auto is_group = [&](const std::string& name) {
    return std::find(plan_.groups.begin(), plan_.groups.end(), name) != plan_.groups.end();
  };
  for (const std::uint64_t seed : experiment.seeds) {
    for (const QuerySetConfig& set : experiment.queries) {
      const std::uint32_t count = query_count(set, dataset);
      const auto begin = static_cast<std::uint32_t>(plan_.queries.size());
      std::vector<Prompt> prompts;
      if (text_to_image()) prompts = prompts_of(seed, set, count);
      for (std::uint32_t i = 0; i < count; ++i) {
        Query query{query_name(set, seed, i), set.name, seed, "", set.role};
        const auto item = item_of(set, dataset, i);
        std::optional<std::uint32_t> shown;
        if (item) shown = dataset.labels.at(*item);
        if (!prompts.empty()) shown = prompts[i].style;
        if (shown && named_by_class(experiment.groups) && is_group(dataset.class_names.at(*shown)))
          query.true_group = dataset.class_names.at(*shown);
        plan_.queries.push_back(std::move(query));
      }
      for (std::uint32_t first = 0; first < count; first += experiment.scoring.block) {
        plan_.blocks.push_back({begin + first, std::min(experiment.scoring.block, count - first)});
      }
    }
  }
  const bool adaptive = experiment.scoring.allocation == "adaptive";
  if (adaptive) plan_.pilot_spread.assign(spread.begin(), spread.end());
  if (!adaptive || !spread.empty()) plan_.slots = slot_axis(experiment, plan_.pilot_spread);
  if (!races(experiment.scoring)) return;
  if (plan_.groups.size() < 2) throw Error("scoring.until: a race needs at least two groups");
  if (!plan_.slots.empty()) plan_.race = race;
}

double PlanBuilder::forward_cost(double images) const {
  return forward_seconds(plan_.experiment.model, images, tokens_);
}

double PlanBuilder::training_cost(double images) const {
  return training_seconds(plan_.experiment.model, images, tokens_);
}

Digest PlanBuilder::add(Work work, std::string label, std::vector<Digest> inputs, double cost,
                        std::vector<Placement> placements, bool reads_dataset) {
  const Digest digest = job_digest(work, plan_.numerics, reads_dataset ? std::optional(plan_.dataset) : std::nullopt);
  const auto [at, is_new] = index_.try_emplace(digest, plan_.jobs.size());
  if (is_new) {
    plan_.jobs.push_back({digest, std::move(label), std::move(work), std::move(inputs), cost, std::move(placements)});
  } else {
    auto& known = plan_.jobs[at->second].placements;
    known.insert(known.end(), placements.begin(), placements.end());
  }
  return digest;
}

Digest PlanBuilder::train_model(std::uint64_t run_seed, std::uint64_t stream, const Digest& removal,
                                const TopRemoval& top, const std::string& what) {
  const Experiment& e = plan_.experiment;
  const std::uint64_t seed = (SeedPath(run_seed) / "train" / std::to_string(stream)).value();
  TrainSpec spec{e.model, e.diffusion, e.training,      seed,
                 removal, 0,           gang_in_spec(e), micro_in_spec(plan_.numerics, step_rows(e.training)),
                 top};
  std::vector<Digest> inputs;
  if (!top.empty()) inputs.push_back(top.from);
  if (text_to_image()) {
    spec.from = base_model();
    spec.caption_dropout = e.pipeline.caption_dropout;
    if (!spec.from.empty()) inputs.push_back(spec.from);
  }
  spec.conditioning = training_conditioning(/*base=*/false, e.training.horizontal_flip);
  append(inputs, inputs_of(spec.conditioning));
  const double cost = gang_training_seconds(e.model, e.training, e.resources, tokens_);
  std::string label = fmt::format("train {} (seed {}{}{}{})", what, run_seed, stream ? fmt::format("/{}", stream) : "",
                                  parameters_label(e.training.parameters), micro_label(spec.micro_batch));
  return add(std::move(spec), std::move(label), std::move(inputs), cost, {}, true);
}

Digest PlanBuilder::train(std::uint64_t run_seed, std::uint64_t stream, int group) {
  const Digest removal = group < 0 ? Digest{} : plan_.group_removals[static_cast<std::size_t>(group)];
  return train_model(run_seed, stream, removal, {}, removal_label(plan_, group));
}

Digest PlanBuilder::train_without(std::uint64_t run_seed, const RemovalSet& removal) {
  const Digest digest = removal_digest(removal.items);
  plan_.removal_sets.try_emplace(digest, removal);
  return train_model(run_seed, 0, digest, {}, "without " + removal.label);
}

Digest PlanBuilder::train_without_top(std::uint64_t run_seed, const Digest& attribution, const std::string& method) {
  const RemovalConfig& r = plan_.experiment.evaluation.removal;
  return train_model(run_seed, 0, {}, {attribution, r.queries, r.items}, "without the top of " + method);
}

Digest PlanBuilder::train_guide(std::uint64_t run_seed) {
  const Experiment& e = plan_.experiment;
  const std::uint64_t seed = (SeedPath(run_seed) / "train" / "guide").value();
  TrainSpec spec{guide_model(e, static_cast<std::uint32_t>(dataset_.class_names.size())),
                 e.diffusion,
                 e.guide.training,
                 seed,
                 {},
                 e.guide.label_dropout,
                 gang_in_spec(e),
                 micro_in_spec(plan_.numerics, step_rows(e.guide.training)),
                 {}};
  const double cost = gang_training_seconds(spec.model, e.guide.training, e.resources);
  std::string label = fmt::format("train guide (seed {}{})", run_seed, micro_label(spec.micro_batch));
  return add(std::move(spec), std::move(label), {}, cost, {}, true);
}

Digest PlanBuilder::unlearn(std::uint64_t run_seed, const Digest& from, const MethodConfig& method, int group) {
  const Experiment& e = plan_.experiment;
  const UnlearnConfig& u = method.unlearn;
  UnlearnSpec spec{from,
                   e.diffusion,
                   u,
                   (SeedPath(run_seed) / "unlearn").value(),
                   plan_.group_removals.at(static_cast<std::size_t>(group)),
                   {},
                   micro_in_spec(plan_.numerics, step_rows(u)),
                   unlearning_conditioning(u)};
  std::vector<Digest> inputs{from};
  append(inputs, inputs_of(spec.conditioning));
  const double forgotten = u.op == "finetune_retain" ? 0 : double(u.steps) * u.forget_batch;
  const double images = double(u.steps) * u.retain_batch + forgotten;
  double cost = training_seconds(e.model, images, tokens_, u.parameters, e.resources.gradient_checkpointing);
  if (u.op == "esd_class" && text_to_image()) {
    cost += forward_cost(2 * forgotten);  // the full model guides
  } else if (u.op == "esd_class") {
    spec.guide = train_guide(run_seed);
    inputs.push_back(spec.guide);
    cost += forward_seconds(guide_model(e, static_cast<std::uint32_t>(dataset_.class_names.size())), 2 * forgotten);
  }
  if (is_taught(u)) cost += forward_cost(images);
  if (u.guard_temperature > 0) {
    const auto own = static_cast<double>(plan_.removal_sets.at(spec.removal).items.size());
    const double sampled = std::min(double(kGuardRetainSample), static_cast<double>(dataset_.train.size()) - own);
    cost += training_cost(kGuardTimesteps * sampled) + forward_cost(2 * kGuardTimesteps * own);
  }
  std::string label = fmt::format("unlearn {} {} (seed {}{}{})", u.op, removal_label(plan_, group), run_seed,
                                  parameters_label(u.parameters), micro_label(spec.micro_batch));
  return add(std::move(spec), std::move(label), std::move(inputs), cost, {}, true);
}

Digest PlanBuilder::query_set(std::uint64_t run_seed, std::size_t set) {
  const Experiment& e = plan_.experiment;
  const QuerySetConfig& config = e.queries.at(set);
  SampleSpec spec;
  spec.diffusion = e.diffusion;
  spec.set = config;
  spec.set.prompt_file.clear();  // the prompts themselves are in the job
  spec.seed = (SeedPath(run_seed) / "sample" / config.name).value();
  std::vector<Digest> inputs;
  if (config.kind == "generated") {
    spec.from = train(run_seed, 0, -1);
    inputs.push_back(spec.from);
  }
  for (const Query& query : plan_.queries) {
    if (query.set == config.name && query.seed == run_seed) spec.names.push_back(query.name);
  }
  spec.prompts = texts_of(prompts_of(run_seed, config, static_cast<std::uint32_t>(spec.names.size())));
  if (config.kind == "generated") spec.conditioning = query_conditioning(run_seed, set);
  append(inputs, inputs_of(spec.conditioning));
  const double cost = config.kind == "generated" ? forward_cost(forwards_of(config.sampler) * config.count) : 0.1;
  return add(std::move(spec), fmt::format("sample {} (seed {})", config.name, run_seed), std::move(inputs), cost, {},
             true);
}

std::vector<PlanBuilder::SetBlock> PlanBuilder::blocks_of_seed(std::uint64_t run_seed) const {
  std::vector<SetBlock> blocks;
  for (std::size_t set = 0; set < plan_.experiment.queries.size(); ++set) {
    const SetBlocks of = blocks_of(run_seed, set);
    for (const std::uint32_t b : of.blocks) blocks.push_back({b, set, of.begin});
  }
  return blocks;
}

void PlanBuilder::postpone(const ScoredModel& model, const ScoredBlock& what) {
  if (!postponed_.emplace(model.weights, what.of.block, what.first_slot).second) return;
  ++plan_.next.jobs;
  plan_.next.cost += forward_cost(double(what.queries.size()) * what.slots);
}

void PlanBuilder::score_block(const ScoredModel& model, const ScoredBlock& what) {
  const Experiment& e = plan_.experiment;
  const QueryBlock& block = plan_.blocks[what.of.block];
  ScoreSpec spec;
  spec.weights = model.weights;
  spec.queries = query_set(model.run_seed, what.of.set);
  spec.diffusion = e.diffusion;
  spec.count = static_cast<std::uint32_t>(what.queries.size());
  if (spec.count == block.count) {
    spec.first = block.first - what.of.set_begin;
  } else {
    for (const std::uint32_t q : what.queries) spec.chosen.push_back(q - what.of.set_begin);
  }
  const auto slot = plan_.slots.begin() + what.first_slot;
  spec.slots.assign(slot, slot + what.slots);
  spec.batch = e.scoring.batch;
  spec.noise_seed = (SeedPath(model.run_seed) / "score").value();
  const Placement placement{model.rows, static_cast<std::uint32_t>(std::max(model.group, 0)), what.queries.front(),
                            what.of.block, what.first_slot};
  std::string label = fmt::format("score {}{} on {} (seed {}, draws {}{})", model.rows,
                                  model.group < 0 ? "" : " " + removal_label(plan_, model.group),
                                  e.queries[what.of.set].name, model.run_seed, model.draw_set, what.note);
  std::vector<Digest> inputs{model.weights, spec.queries};
  spec.conditioning = query_conditioning(model.run_seed, what.of.set);
  append(inputs, inputs_of(spec.conditioning));
  const double cost = forward_cost(double(spec.count) * what.slots);
  add(std::move(spec), std::move(label), std::move(inputs), cost, {placement}, false);
}

void PlanBuilder::score(std::uint64_t run_seed, const Digest& weights, const std::string& rows, int group,
                        std::uint32_t draw_set) {
  const ScoredModel model{run_seed, weights, rows, group, draw_set};
  if (races(plan_.experiment.scoring)) {
    if (group < 0) followers_.push_back(model);
    else race(model);
    return;
  }
  const auto slots = static_cast<std::uint32_t>(slots_of_set(plan_.experiment.scoring));
  for (const SetBlock& of : blocks_of_seed(run_seed)) {
    const QueryBlock& block = plan_.blocks[of.block];
    ScoredBlock what{of, std::vector<std::uint32_t>(block.count), draw_set * slots, slots, ""};
    std::iota(what.queries.begin(), what.queries.end(), block.first);
    if (plan_.slots.empty()) postpone(model, what);
    else score_block(model, what);
  }
}

void PlanBuilder::pilot(std::uint64_t run_seed, const Digest& weights, const std::string& method, int group) {
  const Experiment& e = plan_.experiment;
  if (e.scoring.allocation != "adaptive" || method != e.comparison.reference || run_seed != e.seeds.front()) return;
  std::vector<std::uint32_t> queries;  // of this run seed, on the query axis
  for (std::uint32_t q = 0; q < plan_.queries.size(); ++q) {
    if (plan_.queries[q].seed == run_seed) queries.push_back(q);
  }
  const std::vector<std::uint32_t> pilots = pilot_queries(e, static_cast<std::uint32_t>(queries.size()));
  for (std::size_t set = 0; set < e.queries.size(); ++set) {
    ScoreSpec spec;
    std::optional<std::uint32_t> begin;
    for (std::uint32_t position = 0, next = 0; position < queries.size(); ++position) {
      const bool chosen = next < pilots.size() && pilots[next] == position;
      next += chosen ? 1 : 0;
      if (plan_.queries[queries[position]].set != e.queries[set].name) continue;
      if (!begin) begin = position;
      if (chosen) spec.chosen.push_back(position - *begin);
    }
    if (spec.chosen.empty()) continue;
    spec.weights = weights;
    spec.queries = query_set(run_seed, set);
    spec.diffusion = e.diffusion;
    spec.count = static_cast<std::uint32_t>(spec.chosen.size());
    spec.slots = pilot_slots(e.scoring);
    spec.batch = e.scoring.batch;
    spec.noise_seed = (SeedPath(run_seed) / "score").value();
    const double cost = forward_cost(double(spec.count) * double(spec.slots.size()));
    std::vector<Digest> inputs{weights, spec.queries};
    spec.conditioning = query_conditioning(run_seed, set);
    append(inputs, inputs_of(spec.conditioning));
    add(std::move(spec),
        fmt::format("pilot {} {} on {} (seed {})", method, removal_label(plan_, group), e.queries[set].name, run_seed),
        std::move(inputs), cost, {}, false);
  }
}

void PlanBuilder::preview(std::uint64_t run_seed, const Digest& weights, const std::string& model_label) {
  const Experiment& e = plan_.experiment;
  const auto generated =
      std::find_if(e.queries.begin(), e.queries.end(), [](const QuerySetConfig& q) { return q.kind == "generated"; });
  if (generated == e.queries.end()) return;  // nothing says how to sample
  SampleSpec spec;
  spec.from = weights;
  spec.diffusion = e.diffusion;
  spec.set = *generated;
  spec.set.prompt_file.clear();
  spec.set.name = kPreviewSet;
  spec.set.count = kPreviewCount;
  spec.set.sampler.batch = kPreviewCount;
  spec.seed = (SeedPath(run_seed) / kPreviewSet).value();
  for (std::uint32_t i = 0; i < kPreviewCount; ++i) spec.names.push_back(fmt::format("{}/{}", kPreviewSet, i));
  std::vector<Digest> inputs{weights};
  spec.prompts = texts_of(prompts_of(run_seed, *generated, kPreviewCount));
  spec.conditioning = query_conditioning(run_seed, static_cast<std::size_t>(generated - e.queries.begin()));
  append(inputs, inputs_of(spec.conditioning));
  const double cost = forward_cost(forwards_of(spec.set.sampler) * kPreviewCount);
  add(std::move(spec), fmt::format("preview {} (seed {})", model_label, run_seed), std::move(inputs), cost, {}, true);
}

RemovalSet PlanBuilder::union_of_groups(const std::vector<std::uint32_t>& groups) const {
  RemovalSet all;
  for (const std::uint32_t group : groups) {
    all.label += (all.label.empty() ? "" : ", ") + plan_.groups.at(group);
    const auto& items = plan_.removal_sets.at(plan_.group_removals.at(group)).items;
    all.items.insert(all.items.end(), items.begin(), items.end());
  }
  std::sort(all.items.begin(), all.items.end());
  all.items.erase(std::unique(all.items.begin(), all.items.end()), all.items.end());
  if (all.items.size() >= dataset_.train.size())
    throw Error("evaluation.subsets.share: the groups " + all.label + " are the whole training set; lower it");
  return all;
}

Digest PlanBuilder::regenerate(std::uint64_t run_seed, std::size_t set, const Digest& weights,
                               const std::string& removed) {
  const Experiment& e = plan_.experiment;
  const Digest original = query_set(run_seed, set);
  SampleSpec spec = std::get<SampleSpec>(plan_.jobs.at(index_.at(original)).work);
  spec.from = weights;
  spec.set.name = kRegeneratedSet;
  std::vector<Digest> inputs{weights};
  append(inputs, inputs_of(spec.conditioning));
  const double cost = forward_cost(forwards_of(spec.set.sampler) * double(spec.names.size()));
  return add(std::move(spec), fmt::format("draw {} again without {} (seed {})", e.queries[set].name, removed, run_seed),
             std::move(inputs), cost, {}, true);
}

Plan PlanBuilder::finish() && {
  for (const ScoredModel& full : followers_) follow_races(full);
  if (plan_.slots.empty()) plan_.race.clear();
  Json identity = Json::array();
  for (const JobSpec& job : plan_.jobs) identity.push_back(job.digest.hex);
  identity.push_back(plan_.groups);
  for (const Query& query : plan_.queries) identity.push_back(query.name);
  for (const MethodConfig& method : plan_.experiment.methods) identity.push_back(method.name);
  if (plan_.experiment.scoring.allocation != "grid") {  // weights that follow from no job
    for (const Slot& slot : plan_.slots) identity.push_back(slot.weight);
  }
  plan_.digest = digest_of(identity.dump());
  return std::move(plan_);
}

}  // namespace guda::jobs
