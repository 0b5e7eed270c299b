#include "jobs/spec.hpp"

#include "jobs/json_codec.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<TopRemoval> auto& s) {
  visit(Field{.key = "from"}, s.from);
  visit(Field{.key = "queries"}, s.queries);
  visit(Field{.key = "items"}, s.items);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<Conditioning> auto& s) {
  visit(Field{.key = "autoencoder"}, s.autoencoder);
  visit(Field{.key = "latents"}, s.latents);
  visit(Field{.key = "texts"}, s.texts);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<TrainSpec> auto& s) {
  visit(Field{.key = "model"}, s.model);
  visit(Field{.key = "diffusion"}, s.diffusion);
  visit(Field{.key = "training"}, s.training);
  visit(Field{.key = "seed"}, s.seed);
  visit(Field{.key = "removal"}, s.removal);
  visit(Field{.key = "label_dropout", .younger = true}, s.label_dropout);
  visit(Field{.key = "top", .younger = true}, s.top);
  visit(Field{.key = "gang", .younger = true}, s.gang);
  visit(Field{.key = "micro_batch", .younger = true}, s.micro_batch);
  visit(Field{.key = "start", .younger = true}, s.from);
  visit(Field{.key = "conditioning", .younger = true}, s.conditioning);
  visit(Field{.key = "caption_dropout", .younger = true}, s.caption_dropout);
  visit(Field{.key = "base", .younger = true}, s.base);
  visit(Field{.key = "kl_weight", .younger = true}, s.kl_weight);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<UnlearnSpec> auto& s) {
  visit(Field{.key = "from"}, s.from);
  visit(Field{.key = "diffusion"}, s.diffusion);
  visit(Field{.key = "unlearn"}, s.unlearn);
  visit(Field{.key = "seed"}, s.seed);
  visit(Field{.key = "removal"}, s.removal);
  visit(Field{.key = "guide", .younger = true}, s.guide);
  visit(Field{.key = "micro_batch", .younger = true}, s.micro_batch);
  visit(Field{.key = "conditioning", .younger = true}, s.conditioning);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<SampleSpec> auto& s) {
  visit(Field{.key = "from"}, s.from);
  visit(Field{.key = "diffusion"}, s.diffusion);
  visit(Field{.key = "set"}, s.set);
  visit(Field{.key = "seed"}, s.seed);
  visit(Field{.key = "names"}, s.names);
  visit(Field{.key = "prompts", .younger = true}, s.prompts);
  visit(Field{.key = "conditioning", .younger = true}, s.conditioning);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<ScoreSpec> auto& s) {
  visit(Field{.key = "weights"}, s.weights);
  visit(Field{.key = "queries"}, s.queries);
  visit(Field{.key = "diffusion"}, s.diffusion);
  visit(Field{.key = "first"}, s.first);
  visit(Field{.key = "count"}, s.count);
  visit(Field{.key = "chosen", .younger = true}, s.chosen);
  visit(Field{.key = "batch"}, s.batch);
  visit(Field{.key = "noise_seed"}, s.noise_seed);
  visit(Field{.key = "conditioning", .younger = true}, s.conditioning);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<AttributeSpec> auto& s) {
  visit(Field{.key = "method"}, s.method);
  visit(Field{.key = "k"}, s.k);
  visit(Field{.key = "seed"}, s.seed);
  visit(Field{.key = "queries"}, s.queries);
  visit(Field{.key = "groups"}, s.groups);
  visit(Field{.key = "gradients", .younger = true}, s.gradients);
  visit(Field{.key = "similarity", .younger = true}, s.similarity);
  visit(Field{.key = "item_features", .younger = true}, s.item_features);
  visit(Field{.key = "query_features", .younger = true}, s.query_features);
  visit(Field{.key = "timesteps", .younger = true}, s.timesteps);
  visit(Field{.key = "alpha_bars", .younger = true}, s.alpha_bars);
  visit(Field{.key = "timestep_weights", .younger = true}, s.timestep_weights);
  visit(Field{.key = "embedding", .younger = true}, s.embedding);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<FeaturesSpec> auto& s) {
  visit(Field{.key = "features"}, s.kind);
  visit(Field{.key = "weights"}, s.weights);
  visit(Field{.key = "diffusion"}, s.diffusion);
  visit(Field{.key = "queries"}, s.queries);
  visit(Field{.key = "first"}, s.first);
  visit(Field{.key = "count"}, s.count);
  visit(Field{.key = "loss"}, s.loss);
  visit(Field{.key = "normalised"}, s.normalised);
  visit(Field{.key = "timesteps"}, s.timesteps);
  visit(Field{.key = "projection"}, s.projection);
  visit(Field{.key = "dimension"}, s.dimension);
  visit(Field{.key = "flip"}, s.flip);
  visit(Field{.key = "seed"}, s.seed);
  visit(Field{.key = "encoder"}, s.encoder);
  visit(Field{.key = "encoder_content"}, s.encoder_content);
  visit(Field{.key = "projected"}, s.projected);
  visit(Field{.key = "base", .younger = true}, s.base);
  visit(Field{.key = "texts", .younger = true}, s.texts);
  visit(Field{.key = "conditioning", .younger = true}, s.conditioning);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<MirrorSpec> auto& s) {
  visit(Field{.key = "method"}, s.method);
  visit(Field{.key = "weights"}, s.weights);
  visit(Field{.key = "diffusion"}, s.diffusion);
  visit(Field{.key = "queries"}, s.queries);
  visit(Field{.key = "first"}, s.first);
  visit(Field{.key = "count"}, s.count);
  visit(Field{.key = "fisher"}, s.fisher);
  visit(Field{.key = "groups"}, s.groups);
  visit(Field{.key = "ascent", .younger = true}, s.ascent);
  visit(Field{.key = "mucs", .younger = true}, s.mucs);
  visit(Field{.key = "seed"}, s.seed);
  visit(Field{.key = "conditioning", .younger = true}, s.conditioning);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<ComponentSpec> auto& s) {
  visit(Field{.key = "part"}, s.part);
  visit(Field{.key = "folder"}, s.folder);
  visit(Field{.key = "content"}, s.content);
  visit(Field{.key = "lora", .younger = true}, s.lora);
  visit(Field{.key = "lora_content", .younger = true}, s.lora_content);
  visit(Field{.key = "text_encoder"}, s.text_encoder);
  visit(Field{.key = "texts"}, s.texts);
}

namespace {

constexpr const char* kKinds[] = {"train",     "unlearn",  "sample", "score",
                                  "attribute", "features", "mirror", "component"};
static_assert(std::size(kKinds) == std::variant_size_v<Work>);

// Slots of a Score job are [timestep, draw], and [timestep, draw, -1] where the noise is negated: the weights in the
// experiment must not enter its digest.
Json slots_to_json(const std::vector<Slot>& slots) {
  Json out = Json::array();
  for (const Slot& slot : slots) {
    Json row{slot.timestep, slot.draw};
    if (slot.negated) row.push_back(-1);
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<Slot> slots_from_json(const Json& json) {
  if (!json.is_array()) codec::refuse("slots", "wants a list of [timestep, draw]");
  std::vector<Slot> slots(json.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::string at = fmt::format("slots[{}]", i);
    slots[i].negated = json[i].is_array() && json[i].size() == 3 && json[i][2] == -1;
    if (!json[i].is_array() || (json[i].size() != 2 && !slots[i].negated)) {
      codec::refuse(at, "wants [timestep, draw] or [timestep, draw, -1], not " + json[i].dump());
    }
    codec::decode(json[i][0], at, slots[i].timestep);
    codec::decode(json[i][1], at, slots[i].draw);
  }
  return slots;
}

template <class Spec>
Work read_spec(Json fields) {
  Spec spec;
  if constexpr (std::is_same_v<Spec, ScoreSpec>) {
    if (!fields.contains("slots")) codec::refuse("slots", "the key is missing");
    spec.slots = slots_from_json(fields["slots"]);
    fields.erase("slots");
  }
  codec::decode(fields, "", spec);
  return spec;
}

}  // namespace

void append(std::vector<Digest>& inputs, const std::vector<Digest>& more) {
  inputs.insert(inputs.end(), more.begin(), more.end());
}

std::vector<Digest> inputs_of(const Conditioning& conditioning) {
  std::vector<Digest> inputs = conditioning.latents;
  if (!conditioning.autoencoder.empty()) inputs.push_back(conditioning.autoencoder);
  inputs.insert(inputs.end(), conditioning.texts.begin(), conditioning.texts.end());
  return inputs;
}

const char* kind_of(const Work& work) noexcept { return kKinds[work.index()]; }

std::uint32_t gang_of(const Work& work) noexcept {
  const auto* train = std::get_if<TrainSpec>(&work);
  return train != nullptr && train->gang > 1 ? train->gang : 1;
}

std::uint32_t step_rows(const TrainingConfig& config) noexcept { return config.batch; }

std::uint32_t step_rows(const UnlearnConfig& config) noexcept {
  if (config.op == "fisher") return 0;  // image by image
  return config.retain_batch + (config.op == "finetune_retain" ? 0 : config.forget_batch);
}

bool is_taught(const UnlearnConfig& config) noexcept {
  return config.op == "ifu" || config.op == "esd" || config.op == "guda_c" || config.preserve == "distillation";
}

Json to_json(const Work& work) {
  Json out = std::visit([](const auto& spec) { return codec::encode(spec); }, work);
  if (const auto* score = std::get_if<ScoreSpec>(&work)) out["slots"] = slots_to_json(score->slots);
  out["kind"] = kind_of(work);
  return out;
}

Work work_from_json(const Json& json) {
  if (!json.is_object()) codec::refuse("", "work wants an object");
  const auto kind = json.find("kind");
  if (kind == json.end()) codec::refuse("kind", "the key is missing");
  Json fields = json;
  fields.erase("kind");
  if (*kind == "train") return read_spec<TrainSpec>(std::move(fields));
  if (*kind == "unlearn") return read_spec<UnlearnSpec>(std::move(fields));
  if (*kind == "sample") return read_spec<SampleSpec>(std::move(fields));
  if (*kind == "score") return read_spec<ScoreSpec>(std::move(fields));
  if (*kind == "attribute") return read_spec<AttributeSpec>(std::move(fields));
  if (*kind == "features") return read_spec<FeaturesSpec>(std::move(fields));
  if (*kind == "mirror") return read_spec<MirrorSpec>(std::move(fields));
  if (*kind == "component") return read_spec<ComponentSpec>(std::move(fields));
  codec::refuse("kind",
                "wants train, unlearn, sample, score, attribute, features, mirror or component, not " + kind->dump());
}

}  // namespace guda::jobs
