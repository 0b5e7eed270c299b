#include "orchestrator/results_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/methods/methods.hpp"
#include "jobs/race.hpp"

namespace guda::orchestrator {
namespace {

constexpr const char* kLossUnits = "squared error summed over pixels";
constexpr float kNan32 = std::numeric_limits<float>::quiet_NaN();
constexpr double kNan64 = std::numeric_limits<double>::quiet_NaN();

/// Losses of one model, without a group axis.
bool is_full(const std::string& name) {
  return name == "full" || name.starts_with("full__") || jobs::is_subset_rows(name);
}
std::string loss_name(const std::string& name) { return (is_full(name) ? "loss_" : "loss__") + name; }
std::string status_name(const std::string& name) { return "status__" + name; }

/// Scales by axis name; arrays name their axes.
class Layout {
 public:
  explicit Layout(hdf5::File& file) : file_(file) {}

  void scale(const std::string& name, hdf5::Dataset dataset, std::uint64_t size, const std::string& meaning) {
    dataset.make_scale(name);
    dataset.set_attribute("long_name", meaning);
    scales_.emplace(name, Axis{std::move(dataset), size});
  }

  template <class T>
  hdf5::Dataset array(const std::string& name, const std::vector<std::string>& axes, T fill, const std::string& meaning,
                      const std::string& units = "") {
    std::vector<std::uint64_t> shape;
    for (const std::string& axis : axes) shape.push_back(scales_.at(axis).size);
    return described(file_.create_dataset<T>(name, shape, fill), axes, meaning, units);
  }

  template <class T>
  void column(const std::string& name, const std::string& axis, const std::vector<T>& values,
              const std::string& meaning, const std::string& units = "") {
    array<T>(name, {axis}, T{}, meaning, units).write({0}, {values.size()}, values.data());
  }

  void texts(const std::string& name, const std::string& axis, const std::vector<std::string>& values,
             const std::string& meaning) {
    described(file_.create_strings(name, values), {axis}, meaning, "");
  }

 private:
  struct Axis {
    hdf5::Dataset dataset;
    std::uint64_t size;
  };

  hdf5::Dataset described(hdf5::Dataset dataset, const std::vector<std::string>& axes, const std::string& meaning,
                          const std::string& units) {
    for (unsigned i = 0; i < axes.size(); ++i) dataset.attach_scale(i, scales_.at(axes[i]).dataset);
    dataset.set_attribute("long_name", meaning);
    if (!units.empty()) dataset.set_attribute("units", units);
    return dataset;
  }

  hdf5::File& file_;
  std::map<std::string, Axis> scales_;
};

template <class T, class Range, class Get>
std::vector<T> collect(const Range& range, Get get) {
  std::vector<T> values;
  for (const auto& element : range) values.push_back(static_cast<T>(get(element)));
  return values;
}

template <class T>
std::vector<T> counting(std::size_t size) {
  std::vector<T> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<T>(i);
  return values;
}

hdf5::Dataset index_scale(hdf5::File& file, const std::string& name, std::size_t size) {
  hdf5::Dataset dataset = file.create_dataset<std::int32_t>(name, {size}, 0);
  dataset.write({0}, {size}, counting<std::int32_t>(size).data());
  return dataset;
}

/// Columns that say something of antithetic and of drawn slots only: a plain grid's file does without.
void write_drawn_columns(Layout& layout, const std::vector<jobs::Slot>& slots) {
  if (std::any_of(slots.begin(), slots.end(), [](const auto& s) { return s.negated; })) {
    layout.column("slot_negated", "slot", collect<std::uint8_t>(slots, [](auto& s) { return s.negated; }),
                  "1: the noise of the slot before it with the other sign");
  }
  if (std::any_of(slots.begin(), slots.end(), [](const auto& s) { return s.unit > 0; })) {
    layout.column("slot_stratum", "slot", collect<std::int32_t>(slots, [](auto& s) { return s.stratum; }),
                  "stratum of the draw set that the slot was drawn from");
    layout.column("slot_unit", "slot", collect<std::int32_t>(slots, [](auto& s) { return s.unit; }),
                  "independent draws of a stratum have different units");
  }
}

void write_axes(hdf5::File& file, Layout& layout, const ResultsShape& shape) {
  const auto& queries = shape.queries;
  layout.scale("group", file.create_strings("group", shape.groups), shape.groups.size(), "group of training data");
  layout.scale("query", file.create_strings("query", collect<std::string>(queries, [](auto& q) { return q.name; })),
               queries.size(), "query image");
  layout.scale("slot", index_scale(file, "slot", shape.slots.size()), shape.slots.size(), "noise draw of a timestep");
  layout.scale("block", index_scale(file, "block", shape.blocks.size()), shape.blocks.size(),
               "consecutive queries that are scored together");

  layout.texts("query_set", "query", collect<std::string>(queries, [](auto& q) { return q.set; }), "query set");
  layout.texts("query_group", "query", collect<std::string>(queries, [](auto& q) { return q.true_group; }),
               "true group of a real query, group that a prompt asks for; empty where unknown");
  layout.texts("query_role", "query", collect<std::string>(queries, [](auto& q) { return q.role; }),
               "reported, or tuning: settings were chosen on it");
  layout.column("query_seed", "query", collect<std::uint64_t>(queries, [](auto& q) { return q.seed; }),
                "run seed whose models score the query");
  layout.column("slot_timestep", "slot", collect<std::int32_t>(shape.slots, [](auto& s) { return s.timestep; }),
                "timestep");
  layout.column("slot_draw", "slot", collect<std::int32_t>(shape.slots, [](auto& s) { return s.draw; }),
                "number of the noise draw; draws of the oracle come first, then those of the methods");
  layout.column("slot_weight", "slot", collect<double>(shape.slots, [](auto& s) { return s.weight; }),
                "ELBO weight divided by the expected number of slots of the timestep", "nats per squared error");
  write_drawn_columns(layout, shape.slots);
  layout.column("block_first_query", "block", collect<std::int32_t>(shape.blocks, [](auto& b) { return b.first; }),
                "index of the first query of the block");
  layout.column("block_query_count", "block", collect<std::int32_t>(shape.blocks, [](auto& b) { return b.count; }),
                "number of queries of the block");
}

void write_arrays(Layout& layout, const ResultsShape& shape) {
  const std::string status = "1 where complete, else 0";
  for (const std::string& name : shape.fulls) {
    layout.array<float>(loss_name(name), {"query", "slot"}, kNan32, "loss of the full model", kLossUnits)
        .set_fill_attribute(kNan32);
    layout.array<std::uint8_t>(status_name(name), {"block"}, kPending, status);
  }
  for (const std::string& name : shape.loss_methods) {
    layout
        .array<float>(loss_name(name), {"group", "query", "slot"}, kNan32,
                      "loss of the model without the group, method " + name, kLossUnits)
        .set_fill_attribute(kNan32);
  }
  for (const std::string& name : shape.methods) {
    layout.array<std::uint8_t>(status_name(name), {"group", "block"}, kPending, status);
    const bool from_losses = std::count(shape.loss_methods.begin(), shape.loss_methods.end(), name) > 0;
    const std::string units = from_losses ? "nats" : "";
    layout.array<double>("score__" + name, {"query", "group"}, kNan64, "influence of the group, method " + name, units)
        .set_fill_attribute(kNan64);
    layout
        .array<double>("score_stderr__" + name, {"query", "group"}, kNan64,
                       "standard error of the score over noise draws, method " + name, units)
        .set_fill_attribute(kNan64);
  }
}

void write_race_arrays(Layout& layout, const ResultsShape& shape) {
  if (!shape.raced) return;
  for (const std::string& name : shape.loss_methods) {
    layout.array<std::uint8_t>("race_decided__" + name, {"query"}, std::uint8_t{0},
                               "1 where the race to the places is decided, else 0, method " + name);
    layout.array<std::int32_t>(
        "race_place__" + name, {"query", "group"}, std::int32_t{0},
        "decided place, 0 where open. Race to the first or first three: 1 among them, -1 not; to "
        "the ranking: from 1; method " +
            name);
    layout.array<std::int32_t>("race_slots__" + name, {"query", "group"}, std::int32_t{0},
                               "slots that were scored for the group, method " + name);
  }
}

void write_attributes(hdf5::File& file, const Json& attributes) {
  file.set_attribute("guda_results_format", kResultsFormat);
  for (const auto& [key, value] : attributes.items()) {
    if (value.is_string()) {
      file.set_attribute(key, value.get<std::string>());
    } else if (value.is_number_integer()) {
      file.set_attribute(key, value.get<std::int64_t>());
    } else if (value.is_number()) {
      file.set_attribute(key, value.get<double>());
    } else {
      file.set_attribute(key, value.dump());
    }
  }
}

ResultsShape read_shape(const hdf5::File& file, const std::filesystem::path& path) {
  for (const char* name : {"group", "query", "slot", "block", "loss_full"}) {
    if (!file.has(name)) throw IoError(path.string() + " has no '" + name + "': not a results file of guda");
  }
  ResultsShape shape;
  shape.groups = file.dataset("group").read_strings();
  const auto names = file.dataset("query").read_strings(), sets = file.dataset("query_set").read_strings();
  const auto true_groups = file.dataset("query_group").read_strings();
  const auto roles = file.dataset("query_role").read_strings();
  const auto seeds = file.dataset("query_seed").read<std::uint64_t>();
  for (std::size_t q = 0; q < names.size(); ++q) {
    shape.queries.push_back({.name = names[q],
                             .set = sets.at(q),
                             .seed = seeds.at(q),
                             .true_group = true_groups.at(q),
                             .role = roles.at(q)});
  }
  const auto timesteps = file.dataset("slot_timestep").read<std::int32_t>(),
             draws = file.dataset("slot_draw").read<std::int32_t>();
  const auto weights = file.dataset("slot_weight").read<double>();
  for (std::size_t s = 0; s < timesteps.size(); ++s) {
    shape.slots.push_back({.timestep = static_cast<std::uint32_t>(timesteps[s]),
                           .draw = static_cast<std::uint32_t>(draws.at(s)),
                           .weight = weights.at(s)});
  }
  const auto column = [&](const char* name, auto kind) {
    using T = decltype(kind);
    return file.has(name) ? file.dataset(name).read<T>() : std::vector<T>(timesteps.size());
  };
  const auto negated = column("slot_negated", std::uint8_t{});
  const auto strata = column("slot_stratum", std::int32_t{}), units = column("slot_unit", std::int32_t{});
  for (std::size_t s = 0; s < timesteps.size(); ++s) {
    shape.slots[s].negated = negated.at(s) != 0;
    shape.slots[s].stratum = static_cast<std::uint32_t>(strata.at(s));
    shape.slots[s].unit = static_cast<std::uint32_t>(units.at(s));
  }
  const auto firsts = file.dataset("block_first_query").read<std::int32_t>();
  const auto counts = file.dataset("block_query_count").read<std::int32_t>();
  for (std::size_t b = 0; b < firsts.size(); ++b) {
    shape.blocks.push_back({static_cast<std::uint32_t>(firsts[b]), static_cast<std::uint32_t>(counts.at(b))});
    if (std::size_t{shape.blocks[b].first} + shape.blocks[b].count > names.size()) {
      throw IoError(path.string() + ": block " + std::to_string(b) +
                    " lies outside of the queries: the file is damaged");
    }
  }
  for (const std::string& name : file.names()) {
    if (name.starts_with("loss_") && is_full(name.substr(5))) shape.fulls.push_back(name.substr(5));
    if (name.starts_with("loss__")) shape.loss_methods.push_back(name.substr(6));
    if (name.starts_with("score__")) shape.methods.push_back(name.substr(7));
    if (name.starts_with("race_decided__")) shape.raced = true;
  }
  return shape;
}

/// Sets the values of pending blocks to NaN; `table` is [outer, query, inner].
template <class T>
void blank_pending(std::vector<T>& table, const std::vector<std::uint8_t>& status, const ResultsShape& shape,
                   std::size_t outer, std::size_t inner) {
  const std::size_t queries = shape.queries.size(), blocks = shape.blocks.size();
  for (std::size_t o = 0; o < outer; ++o) {
    for (std::size_t b = 0; b < blocks; ++b) {
      if (status[o * blocks + b] == kDone) continue;
      const auto begin = table.begin() + static_cast<std::ptrdiff_t>((o * queries + shape.blocks[b].first) * inner);
      std::fill_n(begin, shape.blocks[b].count * inner, std::numeric_limits<T>::quiet_NaN());
    }
  }
}

/// Scores [query, group] of queries whose block is pending for a group become NaN.
void blank_pending_scores(std::vector<double>& scores, const std::vector<std::uint8_t>& status,
                          const ResultsShape& shape) {
  const std::size_t groups = shape.groups.size(), blocks = shape.blocks.size();
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t b = 0; b < blocks; ++b) {
      if (status[g * blocks + b] == kDone) continue;
      for (std::size_t q = shape.blocks[b].first; q < shape.blocks[b].first + shape.blocks[b].count; ++q) {
        scores[q * groups + g] = kNan64;
      }
    }
  }
}

}  // namespace

std::string own_full_name(const std::string& method) { return "full__" + method; }
bool leaves_losses(const jobs::MethodConfig& method) {
  return method.method != kRecorded && jobs::method_named(method.method).leaves == jobs::Leaves::losses;
}
bool has_own_full(const jobs::MethodConfig& method) { return method.method == "logo" && method.seed != 0; }

ResultsShape ResultsShape::of(const jobs::Plan& plan) {
  ResultsShape shape{.groups = plan.groups,
                     .queries = plan.queries,
                     .slots = plan.slots,
                     .blocks = plan.blocks,
                     .fulls = {"full"},
                     .loss_methods = {},
                     .methods = {},
                     .raced = jobs::races(plan.experiment.scoring)};
  for (const jobs::MethodConfig& method : plan.experiment.methods) {
    if (method.name.empty() || is_full(method.name) || method.name.find('/') != std::string::npos) {
      throw Error("methods: the name '" + method.name + "' cannot name a data set of results.h5; choose another one");
    }
    shape.methods.push_back(method.name);
    if (leaves_losses(method)) shape.loss_methods.push_back(method.name);
    if (has_own_full(method)) shape.fulls.push_back(own_full_name(method.name));
  }
  for (std::uint32_t m = 0; m < plan.experiment.evaluation.subsets.count; ++m)
    shape.fulls.push_back(jobs::subset_rows(m));
  return shape;
}

void ResultsFile::create(const std::filesystem::path& path, const ResultsShape& shape, const Json& attributes) {
  const std::filesystem::path partial = path.string() + "." + std::to_string(::getpid()) + ".partial";
  try {
    {
      hdf5::File file = hdf5::File::create(partial);
      Layout layout(file);
      write_axes(file, layout, shape);
      write_arrays(layout, shape);
      write_race_arrays(layout, shape);
      write_attributes(file, attributes);
      file.flush();
    }
    sync_file(open_file(partial, O_RDONLY).get(), partial);
    if (::rename(partial.c_str(), path.c_str()) != 0) throw IoError(errno_text("cannot rename to", path, errno));
  } catch (const IoError&) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw;
  }
  sync_directory(path.parent_path());
}

ResultsFile ResultsFile::open(const std::filesystem::path& path) {
  return ResultsFile(hdf5::File::open_for_writing(path));
}

hdf5::Dataset& ResultsFile::dataset(const std::string& name) {
  const auto found = open_.find(name);
  if (found != open_.end()) return found->second;
  return open_.emplace(name, file_.dataset(name)).first->second;
}

void ResultsFile::write_losses(const std::string& name, std::uint32_t group, std::uint32_t first_query,
                               std::uint32_t first_slot, std::uint32_t rows, std::uint32_t columns,
                               std::span<const float> losses) {
  if (losses.size() != std::size_t{rows} * columns)
    throw Bug("write_losses: " + name + " has not rows x columns values");
  if (is_full(name)) {
    dataset(loss_name(name)).write({first_query, first_slot}, {rows, columns}, losses.data());
  } else {
    dataset(loss_name(name)).write({group, first_query, first_slot}, {1, rows, columns}, losses.data());
  }
}

void ResultsFile::write_scores(const std::string& method, std::uint32_t first_query, std::uint32_t rows,
                               std::uint32_t columns, std::span<const double> scores, std::span<const double> errors) {
  if (scores.size() != std::size_t{rows} * columns)
    throw Bug("write_scores: " + method + " has not rows x columns values");
  if (!errors.empty() && errors.size() != scores.size()) throw Bug("write_scores: " + method + " has odd errors");
  dataset("score__" + method).write({first_query, 0}, {rows, columns}, scores.data());
  if (!errors.empty()) dataset("score_stderr__" + method).write({first_query, 0}, {rows, columns}, errors.data());
}

void ResultsFile::write_race(const std::string& method, std::span<const std::uint8_t> decided,
                             std::span<const std::int32_t> places, std::span<const std::int32_t> slots) {
  const std::size_t queries = decided.size(), groups = queries > 0 ? places.size() / queries : 0;
  if (places.size() != queries * groups || slots.size() != places.size()) throw Bug("write_race: " + method);
  dataset("race_decided__" + method).write({0}, {queries}, decided.data());
  dataset("race_place__" + method).write({0, 0}, {queries, groups}, places.data());
  dataset("race_slots__" + method).write({0, 0}, {queries, groups}, slots.data());
}

void ResultsFile::mark_done(const std::string& name, std::uint32_t group, std::uint32_t block) {
  file_.flush();
  if (is_full(name)) {
    dataset(status_name(name)).write({block}, {1}, &kDone);
  } else {
    dataset(status_name(name)).write({group, block}, {1, 1}, &kDone);
  }
}

void ResultsFile::mark_all_groups_done(const std::string& method, std::uint32_t block) {
  file_.flush();
  hdf5::Dataset& status = dataset(status_name(method));
  const std::uint64_t groups = status.shape().at(0);
  const std::vector<std::uint8_t> done(groups, kDone);
  status.write({0, block}, {groups, 1}, done.data());
}

void ResultsFile::flush() { file_.flush(); }

ResultsTable read_results(const std::filesystem::path& path) {
  const hdf5::File file = hdf5::File::open_for_reading(path);
  ResultsTable table;
  table.shape = read_shape(file, path);
  const std::size_t slots = table.slots();
  // Status first: rows that become complete while we read are then at worst still shown as pending.
  for (const std::string& name : table.shape.fulls) {
    table.status[name] = file.dataset(status_name(name)).read<std::uint8_t>();
  }
  for (const std::string& name : table.shape.methods) {
    table.status[name] = file.dataset(status_name(name)).read<std::uint8_t>();
  }
  for (const std::string& name : table.shape.fulls) {
    auto& losses = table.losses[name] = file.dataset(loss_name(name)).read<float>();
    blank_pending(losses, table.status[name], table.shape, 1, slots);
  }
  for (const std::string& name : table.shape.loss_methods) {
    auto& losses = table.losses[name] = file.dataset(loss_name(name)).read<float>();
    blank_pending(losses, table.status[name], table.shape, table.groups(), slots);
  }
  for (const std::string& name : table.shape.methods) {
    auto& scores = table.scores[name] = file.dataset("score__" + name).read<double>();
    blank_pending_scores(scores, table.status[name], table.shape);
    auto& errors = table.score_errors[name] = file.dataset("score_stderr__" + name).read<double>();
    blank_pending_scores(errors, table.status[name], table.shape);
  }
  for (const auto& [key, text] : file.text_attributes()) {
    const bool looks_like_json = !text.empty() && (text.front() == '{' || text.front() == '[');
    Json parsed = looks_like_json ? Json::parse(text, nullptr, false) : Json();
    table.attributes[key] = looks_like_json && !parsed.is_discarded() ? std::move(parsed) : Json(text);
  }
  return table;
}

}  // namespace guda::orchestrator
