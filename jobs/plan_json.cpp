// plan.json: everything a life of a run needs to go on, and what the worker reads. Small tables are arrays of rows.
#include "jobs/json_codec.hpp"
#include "jobs/plan.hpp"
#include "jobs/race.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<RemovalSet> auto& s) {
  visit(Field{.key = "label"}, s.label);
  visit(Field{.key = "items"}, s.items);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<Query> auto& q) {
  visit(Field{.key = "name"}, q.name);
  visit(Field{.key = "set"}, q.set);
  visit(Field{.key = "seed"}, q.seed);
  visit(Field{.key = "true_group"}, q.true_group);
  visit(Field{.key = "role"}, q.role);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<QueryBlock> auto& b) {
  visit(Field{.key = "first"}, b.first);
  visit(Field{.key = "count"}, b.count);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<Slot> auto& s) {
  visit(Field{.key = "timestep"}, s.timestep);
  visit(Field{.key = "draw"}, s.draw);
  visit(Field{.key = "weight"}, s.weight);
  visit(Field{.key = "negated", .younger = true}, s.negated);
  visit(Field{.key = "stratum", .younger = true}, s.stratum);
  visit(Field{.key = "unit", .younger = true}, s.unit);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<NextStage> auto& s) {
  visit(Field{.key = "jobs"}, s.jobs);
  visit(Field{.key = "cost"}, s.cost);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<Numerics> auto& n) {
  visit(Field{.key = "device"}, n.device);
  visit(Field{.key = "isa"}, n.isa);
  visit(Field{.key = "dtype"}, n.dtype);
  visit(Field{.key = "threads"}, n.threads);
  visit(Field{.key = "micro_batch", .younger = true}, n.micro_batch);
  visit(Field{.key = "deterministic", .younger = true}, n.deterministic);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<Placement> auto& p) {
  visit(Field{.key = "method"}, p.method);
  visit(Field{.key = "group"}, p.group);
  visit(Field{.key = "query"}, p.query);
  visit(Field{.key = "block"}, p.block);
  visit(Field{.key = "slot"}, p.slot);
}

namespace {

constexpr int kPlanFormat = 2;  // on disk: raised when a reader of the old form would misread the new one

struct Keys {
  bool younger;  ///< also those that older versions do not know
  Json out = Json::array();
  void operator()(const Field& field, const auto& member) {
    if (younger || !field.younger) out.push_back(std::string(field.key));
  }
};

struct Values {
  bool younger;
  Json out = Json::array();
  void operator()(const Field& field, const auto& member) {
    if (younger || !field.younger) out.push_back(codec::encode(member));
  }
};

struct ReadValues {
  const Json& row;
  std::string at;
  bool younger;
  std::size_t next = 0;
  void operator()(const Field& field, auto& member) {
    if (younger || !field.younger) codec::decode(row[next++], codec::below(at, field.key), member);
  }
};

/// Whether a younger column holds something.
struct SaysMore {
  bool more = false;
  template <class T>
  void operator()(const Field& field, const T& member) {
    more = more || (field.younger && member != T{});
  }
};

template <class T>
Json columns_of(bool younger) {
  Keys keys{younger};
  const T any{};
  describe(keys, any);
  return std::move(keys.out);
}

/// A list of structs as {"columns": [...], "rows": [[...], ...]}: keys once instead of once per row.
template <class T>
Json encode_table(const std::vector<T>& list) {
  SaysMore says;
  for (const T& entry : list) describe(says, entry);
  Json rows = Json::array();
  for (const T& entry : list) {
    Values values{says.more};
    describe(values, entry);
    rows.push_back(std::move(values.out));
  }
  return {{"columns", columns_of<T>(says.more)}, {"rows", std::move(rows)}};
}

template <class T>
std::vector<T> decode_table(const Json& json, const std::string& at) {
  const Json given = json.is_object() ? json.value("columns", Json()) : Json();
  const bool younger = given == columns_of<T>(true);
  const Json columns = columns_of<T>(younger);
  if (!json.is_object() || !json.contains("rows") || given != columns || !json["rows"].is_array()) {
    codec::refuse(at, "wants a table with columns " + columns.dump());
  }
  std::vector<T> list(json["rows"].size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& row = json["rows"][i];
    const std::string row_at = fmt::format("{}[{}]", at, i);
    if (!row.is_array() || row.size() != columns.size()) codec::refuse(row_at, "wants a row of " + columns.dump());
    ReadValues values{row, row_at, younger};
    describe(values, list[i]);
  }
  return list;
}

Json encode_job(const JobSpec& job) {
  return {{"digest", job.digest.hex},  {"label", job.label},
          {"work", to_json(job.work)}, {"inputs", codec::encode(job.inputs)},
          {"cost", job.cost},          {"placements", encode_table(job.placements)["rows"]}};
}

/// The value of a key, which must be there.
const Json& want(const Json& json, const std::string& at, const std::string& key) {
  if (!json.is_object()) codec::refuse(at, "wants an object");
  const auto found = json.find(key);
  if (found == json.end()) codec::refuse(codec::below(at, key), "the key is missing");
  return *found;
}

template <class T>
T read(const Json& json, const std::string& at, const std::string& key) {
  T value;
  codec::decode(want(json, at, key), codec::below(at, key), value);
  return value;
}

JobSpec decode_job(const Json& json, const std::string& at, const Json& placement_columns) {
  JobSpec job;
  job.digest = read<Digest>(json, at, "digest");
  job.label = read<std::string>(json, at, "label");
  try {
    job.work = work_from_json(want(json, at, "work"));
  } catch (const Error& error) {
    codec::refuse(at + ".work", error.what());
  }
  job.inputs = read<std::vector<Digest>>(json, at, "inputs");
  job.cost = read<double>(json, at, "cost");
  job.placements = decode_table<Placement>({{"columns", placement_columns}, {"rows", want(json, at, "placements")}},
                                           at + ".placements");
  return job;
}

constexpr std::string_view kRounds = "0123456789abcdefghijklmnopqrstuvwxyz";

/// A lane's queries are texts: for each group the digit of its rounds, and "." behind them when no round follows.
Json encode_race(const Plan& plan) {
  const std::size_t groups = plan.groups.size();
  Json lanes = Json::array();
  for (const RaceLane& lane : plan.race) {
    Json queries = Json::array();
    for (std::size_t q = 0; q < lane.finished.size(); ++q) {
      std::string text;
      for (std::size_t k = 0; k < groups; ++k) text += kRounds.at(lane.rounds[q * groups + k]);
      queries.push_back(text + (lane.finished[q] != 0 ? "." : ""));
    }
    lanes.push_back({{"rows", lane.rows}, {"draw_set", lane.draw_set}, {"queries", std::move(queries)}});
  }
  return lanes;
}

std::vector<RaceLane> decode_race(const Json& json, std::size_t queries, std::size_t groups, std::size_t rounds) {
  if (!json.is_array()) codec::refuse("plan.race", "wants a list");
  std::vector<RaceLane> lanes(json.size());
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const std::string at = fmt::format("plan.race[{}]", i);
    lanes[i].rows = read<std::string>(json[i], at, "rows");
    lanes[i].draw_set = read<std::uint32_t>(json[i], at, "draw_set");
    const auto texts = read<std::vector<std::string>>(json[i], at, "queries");
    if (texts.size() != queries) codec::refuse(at + ".queries", fmt::format("wants {} texts", queries));
    for (const std::string& text : texts) {
      lanes[i].finished.push_back(text.ends_with('.') ? 1 : 0);
      const std::string digits = text.substr(0, text.size() - lanes[i].finished.back());
      if (digits.size() != groups || digits.find_first_not_of(kRounds.substr(1, rounds)) != std::string::npos) {
        codec::refuse(at + ".queries",
                      fmt::format("wants for each of {} groups one of {} rounds, not \"{}\"", groups, rounds, text));
      }
      for (const char digit : digits) lanes[i].rounds.push_back(static_cast<std::uint8_t>(kRounds.find(digit)));
    }
  }
  return lanes;
}

}  // namespace

Json to_json(const Plan& plan) {
  Json jobs = Json::array();
  for (const JobSpec& job : plan.jobs) jobs.push_back(encode_job(job));
  Json out{{"format", kPlanFormat},
           {"experiment", codec::encode(plan.experiment)},
           {"dataset", plan.dataset.hex},
           {"groups", codec::encode(plan.groups)},
           {"group_removals", codec::encode(plan.group_removals)},
           {"removal_sets", codec::encode(plan.removal_sets)},
           {"queries", encode_table(plan.queries)},
           {"blocks", encode_table(plan.blocks)},
           {"slots", encode_table(plan.slots)},
           {"numerics", codec::encode(plan.numerics)},
           {"placement_columns", encode_table(std::vector<Placement>{})["columns"]},
           {"jobs", std::move(jobs)},
           {"digest", plan.digest.hex}};
  if (!plan.pilot_spread.empty()) out["pilot_spread"] = plan.pilot_spread;
  if (!plan.race.empty()) out["race"] = encode_race(plan);
  if (awaits_next_stage(plan)) out["next"] = codec::encode(plan.next);
  return out;
}

Plan plan_from_json(const Json& json) {
  if (const Json& format = want(json, "plan", "format"); format != kPlanFormat) {
    codec::refuse("plan.format",
                  fmt::format("is {}, this guda reads {}: plan again with `guda run`", format.dump(), kPlanFormat));
  }
  Plan plan;
  plan.experiment = read<Experiment>(json, "plan", "experiment");
  plan.dataset = read<Digest>(json, "plan", "dataset");
  plan.groups = read<std::vector<std::string>>(json, "plan", "groups");
  plan.group_removals = read<std::vector<Digest>>(json, "plan", "group_removals");
  plan.removal_sets = read<std::map<Digest, RemovalSet>>(json, "plan", "removal_sets");
  plan.queries = decode_table<Query>(want(json, "plan", "queries"), "plan.queries");
  plan.blocks = decode_table<QueryBlock>(want(json, "plan", "blocks"), "plan.blocks");
  plan.slots = decode_table<Slot>(want(json, "plan", "slots"), "plan.slots");
  plan.numerics = read<Numerics>(json, "plan", "numerics");
  const Json& jobs = want(json, "plan", "jobs");
  if (!jobs.is_array()) codec::refuse("plan.jobs", "wants a list");
  const Json& columns = want(json, "plan", "placement_columns");
  for (std::size_t i = 0; i < jobs.size(); ++i)
    plan.jobs.push_back(decode_job(jobs[i], fmt::format("plan.jobs[{}]", i), columns));
  plan.digest = read<Digest>(json, "plan", "digest");
  if (json.contains("pilot_spread")) plan.pilot_spread = read<std::vector<double>>(json, "plan", "pilot_spread");
  if (json.contains("race")) {
    plan.race =
        decode_race(json["race"], plan.queries.size(), plan.groups.size(), round_ends(plan.experiment.scoring).size());
  }
  if (json.contains("next")) plan.next = read<NextStage>(json, "plan", "next");
  return plan;
}

}  // namespace guda::jobs
