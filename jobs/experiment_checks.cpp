#include "jobs/experiment_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "common/config/suggest.hpp"
#include "jobs/experiment_tree.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {
namespace {

using config::Node;
using Path = std::vector<std::string>;

constexpr std::uint32_t kDigits = 1797;          // items of the data set that guda ships
constexpr std::uint64_t kMostSlots = 1'000'000;  // (timestep, draw) pairs of one draw set
constexpr std::uint32_t kNoLimit = WeightingConfig{}.t_max;

class Checks {
 public:
  Checks(const Experiment& experiment, const Node& root, config::Issues& issues, bool data_may_be_missing)
      : e_(experiment), root_(root), issues_(issues), by_itself_(issues), data_may_be_missing_(data_may_be_missing) {}

  void all() {
    seeds();
    data();
    model();
    diffusion();
    training();
    guide();
    queries();
    scoring();
    methods();
    comparison();
    evaluation();
    gang();
  }

 private:
  /// Adds an issue at `path` when `broken`, unless a key that the rule reads is wrong by itself.
  void rule(bool broken, const Path& path, const std::function<std::string()>& what,
            const std::vector<Path>& reads = {}) {
    if (!broken) return;
    const Located place = locate(root_, path);
    if (by_itself_.concern(place.key)) return;
    for (const Path& read : reads) {
      if (by_itself_.concern(locate(root_, read).key)) return;
    }
    issues_.add(place.at, place.key, what());
  }

  /// " (the default)" when the file does not say it.
  [[nodiscard]] const char* by_default(const Path& path) const {
    return locate(root_, path).written ? "" : " (the default)";
  }

  template <class Entry>
  void unique_names(const std::string& list, const std::vector<Entry>& entries) {
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto [known, added] = first.emplace(entries[i].name, i);
      rule(!added, {list, std::to_string(i), "name"}, [&, known = known] {
        return fmt::format("'{}' is already the name of entry {}; give this one its own `name`", entries[i].name,
                           known->second + 1);
      });
    }
  }

  void seeds() {
    rule(e_.seeds.empty(), {"seeds"}, [] { return "wants at least one run seed, for example [0]"; });
    auto sorted = e_.seeds;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    rule(twice != sorted.end(), {"seeds"}, [&] { return fmt::format("{} is given twice", *twice); });
  }

  void data() {
    const auto& path = e_.dataset.path;
    const bool excused = data_may_be_missing_ && e_.dataset.kind == "cifar10";
    rule(!path.empty() && !excused && !exists(path), {"dataset", "path"}, [&] {
      return fmt::format("there is no {}{}", path.string(),
                         e_.dataset.kind == "cifar10"
                             ? ": unpack the binary version of CIFAR-10 there, or --set dataset.path=FOLDER"
                             : "");
    });
    const bool digits = e_.dataset.kind == "digits";
    rule(digits && e_.dataset.train >= kDigits && path.empty(), {"dataset", "train"}, [&] {
      return fmt::format("{} of the {} digits leave none to hold out; use 1500", e_.dataset.train, kDigits);
    });
    rule(!digits && path.empty(), {"dataset", "path"},
         [] { return "wants the folder of data_batch_*.bin, test_batch.bin and batches.meta.txt"; },
         {{"dataset", "kind"}});
    const std::uint32_t side = e_.dataset.side;
    rule(side != 0 && side != 4 && side != 8 && side != 16 && side != 32, {"dataset", "side"},
         [&] { return fmt::format("{} does not divide the 32 pixels of a side; choose 32, 16, 8 or 4", side); });
    const bool by_manifest = e_.groups.by == "manifest";
    const auto& manifest = e_.groups.manifest;
    rule(by_manifest && manifest.empty(), {"groups", "manifest"},
         [] { return "wants a CSV or JSON file, because groups.by is manifest"; }, {{"groups", "by"}});
    rule(by_manifest && !manifest.empty() && !is_file(manifest), {"groups", "manifest"},
         [&] { return fmt::format("there is no file {}", manifest.string()); });
  }

  void model() {
    rule(e_.model.empty(), {"model"}, [] {
      return "wants the model: a mapping with the keys of a UNet2DModel's config.json, as in jobs/recipes/digits.yaml";
    });
    const bool digits = e_.dataset.kind == "digits";
    if (e_.model.empty() || (digits && !e_.dataset.path.empty())) return;
    const char* const what = digits ? "digits" : "CIFAR-10 images";
    const std::uint32_t side = digits ? 8 : e_.dataset.side == 0 ? 32 : e_.dataset.side;
    const std::int64_t wanted = digits ? 1 : 3;
    const auto channels = e_.model.value("in_channels", std::int64_t{3});
    rule(channels != wanted, {"model", "in_channels"}, [&] {
      return fmt::format("is {}{}, but {} have {} channel{}", channels, by_default({"model", "in_channels"}), what,
                         wanted, wanted == 1 ? "" : "s");
    });
    const Json size = e_.model.value("sample_size", Json());
    const bool fits = size.is_null() || size == side || size == Json{side, side};
    rule(!fits, {"model", "sample_size"},
         [&] { return fmt::format("is {}, but {} are {} x {}", size.dump(), what, side, side); },
         {{"dataset", "side"}});
    const auto blocks = e_.model.contains("block_out_channels") ? e_.model["block_out_channels"].size() : 4;
    std::size_t most = 1;
    for (std::uint32_t pixels = side; pixels > 1; pixels /= 2) ++most;
    rule(blocks > most, {"model", "block_out_channels"}, [&] {
      return fmt::format("has {} entries, but {} x {} images can be halved {} times: at most {}", blocks, side, side,
                         most - 1, most);
    });
  }

  void diffusion() {
    const auto& d = e_.diffusion;
    const bool linear = d.schedule != "squaredcos_cap_v2";
    rule(linear && d.beta_start >= d.beta_end, {"diffusion", "beta_end"},
         [&] { return fmt::format("{} must be more than beta_start, {}", d.beta_end, d.beta_start); },
         {{"diffusion", "beta_start"}});
  }

  void training() {
    const auto& t = e_.training;
    horizon({"training"}, t.horizon, t.steps);
    rule(t.warmup_steps > std::max(t.steps, t.horizon), {"training", "warmup_steps"},
         [&] {
           return fmt::format("{}{} is more than training.steps, {}", t.warmup_steps,
                              by_default({"training", "warmup_steps"}), t.steps);
         },
         {{"training", "steps"}});
    at_most_training_items({"training", "batch"}, t.batch);
  }

  void guide() {
    const auto& g = e_.guide;
    const auto guided = std::find_if(e_.methods.begin(), e_.methods.end(), [](const MethodConfig& m) {
      return m.method == "guda" && m.unlearn.op == "esd_class";
    });
    const Path channels{"guide", "block_out_channels"};
    rule(g.empty() && guided != e_.methods.end(), channels, [] {
      return "is missing: esd_class guides with a class-conditional model, for example guide: {block_out_channels: "
             "[128, "
             "256, 256, 512]}";
    });
    if (g.empty()) return;
    rule(guided == e_.methods.end(), {"guide"}, [] { return "has no effect: no method has unlearn.op esd_class"; },
         {{"methods"}});
    const std::size_t blocks = e_.model.contains("block_out_channels") ? e_.model["block_out_channels"].size() : 4;
    rule(
        g.block_out_channels.size() != blocks, channels,
        [&] { return fmt::format("has {} entries, but the model has {} blocks", g.block_out_channels.size(), blocks); },
        {{"model", "block_out_channels"}});
    const auto groups = e_.model.value("norm_num_groups", std::uint32_t{32});
    for (const std::uint32_t width : g.block_out_channels) {
      rule(width % groups != 0, channels,
           [&] { return fmt::format("{} is not a multiple of model.norm_num_groups, {}", width, groups); });
    }
    for (const auto& [key, value] :
         {std::pair{"time_embedding_type", "positional"}, {"downsample_type", "conv"}, {"upsample_type", "conv"}}) {
      rule(e_.model.value(key, value) != value, {"model", key}, [&, key = key, value = value] {
        return fmt::format("a guide can only be built where {} is {}", key, value);
      });
    }
    horizon({"guide", "training"}, g.training.horizon, g.training.steps);
    at_most_training_items({"guide", "training", "batch"}, g.training.batch);
  }

  void gang() {
    const std::uint32_t size = e_.resources.gang;
    if (size < 2) return;
    const Path here{"resources", "gang"};
    rule(e_.resources.device != "cpu", here,
         [] { return "gangs train on the CPU only so far: leave it out, or choose resources.device: cpu"; },
         {{"resources", "device"}});
    rule(size > e_.training.batch, here,
         [&] { return fmt::format("{} workers can't share training.batch, {}", size, e_.training.batch); },
         {{"training", "batch"}});
    rule(!e_.guide.empty() && size > e_.guide.training.batch, here,
         [&] { return fmt::format("{} workers can't share guide.training.batch, {}", size, e_.guide.training.batch); },
         {{"guide", "training", "batch"}});
  }

  void horizon(Path section, std::uint32_t value, std::uint32_t steps) {
    Path steps_path = section;
    section.push_back("horizon");
    steps_path.push_back("steps");
    rule(value != 0 && value < steps, section,
         [&] {
           return fmt::format("{} is before the last of {} steps; leave it out, or choose {} or more", value, steps,
                              steps);
         },
         {steps_path});
  }

  void at_most_training_items(const Path& path, std::uint32_t value) {
    rule(value > e_.dataset.train, path,
         [&] {
           return fmt::format("{}{} is more than the {} training items", value, by_default(path), e_.dataset.train);
         },
         {{"dataset", "train"}});
  }

  void queries() {
    rule(e_.queries.empty(), {"queries"},
         [] { return "wants at least one query set, for example [{kind: generated}]"; });
    unique_names("queries", e_.queries);
    const auto tuning = [](const QuerySetConfig& q) { return q.role == "tuning"; };
    rule(!e_.queries.empty() && std::all_of(e_.queries.begin(), e_.queries.end(), tuning), {"queries"},
         [] { return "has tuning sets only: results need a set with role: reported"; });
    for (std::size_t i = 0; i < e_.queries.size(); ++i) {
      const auto& q = e_.queries[i];
      const Path here{"queries", std::to_string(i)};
      const auto at = [&](Path below) { return below.insert(below.begin(), here.begin(), here.end()), below; };
      rule(q.name == kPreviewSet || q.name == kRegeneratedSet, at({"name"}),
           [&] { return fmt::format("'{}' is the name of pictures that guda draws itself; choose another", q.name); });
      rule(q.kind == "generated" && q.sampler.steps > e_.diffusion.timesteps, at({"sampler", "steps"}),
           [&] {
             return fmt::format("{}{} is more than diffusion.timesteps, {}", q.sampler.steps,
                                by_default(at({"sampler", "steps"})), e_.diffusion.timesteps);
           },
           {{"diffusion", "timesteps"}});
      rule(q.kind == "generated" && q.sampler.kind == "dpmsolver++" && q.sampler.steps == e_.diffusion.timesteps,
           at({"sampler", "steps"}),
           [&] {
             return fmt::format("DPM-Solver++ takes fewer steps than diffusion.timesteps, {}", e_.diffusion.timesteps);
           },
           {{"diffusion", "timesteps"}});
      for (std::size_t k = 0; q.kind == "held_out" && k < i; ++k) {
        const auto& other = e_.queries[k];
        const bool apart =
            std::uint64_t{q.first} + q.count <= other.first || std::uint64_t{other.first} + other.count <= q.first;
        rule(other.kind == "held_out" && other.role != q.role && !apart, at({"first"}), [&] {
          return fmt::format(
              "held-out items {}..{} overlap those of '{}', {}..{}, but one set is for tuning: choose disjoint ranges",
              q.first, std::uint64_t{q.first} + q.count - 1, other.name, other.first,
              std::uint64_t{other.first} + other.count - 1);
        });
      }
      rule(q.kind == "images" && q.images.empty(), at({"images"}),
           [] { return "wants a list of PNG files, because the kind is images"; }, {at({"kind"})});
      for (std::size_t k = 0; q.kind == "images" && k < q.images.size(); ++k) {
        rule(!is_file(q.images[k]), at({"images", std::to_string(k)}),
             [&] { return fmt::format("there is no file {}", q.images[k].string()); });
        for (std::size_t other = 0; other < i; ++other) {
          const auto& before = e_.queries[other];
          rule(before.role != q.role && before.kind == "images" &&
                   std::count(before.images.begin(), before.images.end(), q.images[k]) > 0,
               at({"images", std::to_string(k)}), [&] {
                 return fmt::format("is also an image of '{}', but one of the two sets is for tuning", before.name);
               });
        }
      }
    }
  }

  void scoring() {
    const auto& s = e_.scoring;
    const Path first{"scoring", "first_timestep"}, last{"scoring", "last_timestep"}, length{"diffusion", "timesteps"};
    rule(s.last_timestep >= e_.diffusion.timesteps, last,
         [&] {
           return fmt::format("{}{} must be less than diffusion.timesteps, {}", s.last_timestep, by_default(last),
                              e_.diffusion.timesteps);
         },
         {length});
    rule(s.first_timestep > s.last_timestep, first,
         [&] {
           return fmt::format("{}{} is more than last_timestep, {}", s.first_timestep, by_default(first),
                              s.last_timestep);
         },
         {last});
    if (s.first_timestep > s.last_timestep || s.stride == 0) return;
    const std::uint64_t slots = ((s.last_timestep - s.first_timestep) / s.stride + std::uint64_t{1}) * s.draws;
    rule(slots > kMostSlots, {"scoring", "draws"},
         [&] { return fmt::format("gives {} slots, more than {}: fewer draws or a larger stride", slots, kMostSlots); },
         {first, last, {"scoring", "stride"}});
  }

  void methods() {
    rule(e_.methods.size() < 2, {"methods"},
         [] { return "wants at least two methods: the oracle (method: logo) and one to compare with it"; });
    unique_names("methods", e_.methods);
    for (std::size_t i = 0; i < e_.methods.size(); ++i) {
      const auto& m = e_.methods[i];
      const Path here{"methods", std::to_string(i)};
      const auto at = [&](Path below) { return below.insert(below.begin(), here.begin(), here.end()), below; };
      rule(!locate(root_, at({"method"})).written, at({"method"}),
           [] { return "wants the method (guda methods lists them), for example logo"; });
      rule(m.name == "full", at({"name"}), [] { return "'full' is the name of the full model; choose another"; });
      if (m.method == "knn") at_most_training_items(at({"k"}), m.k);
      if (m.method != "guda") continue;
      horizon(at({"unlearn"}), m.unlearn.horizon, m.unlearn.steps);
      rule(m.unlearn.op != "fisher" && m.unlearn.warmup_steps > std::max(m.unlearn.steps, m.unlearn.horizon),
           at({"unlearn", "warmup_steps"}),
           [&] {
             return fmt::format("{}{} is more than unlearn.steps, {}", m.unlearn.warmup_steps,
                                by_default(at({"unlearn", "warmup_steps"})), m.unlearn.steps);
           },
           {at({"unlearn", "steps"})});
      for (const auto& [key, value] : {std::pair{"retain_batch", m.unlearn.retain_batch},
                                       {"forget_batch", m.unlearn.forget_batch},
                                       {"neighbours", m.unlearn.neighbours}}) {
        at_most_training_items(at({"unlearn", key}), value);
      }
    }
  }

  [[nodiscard]] const MethodConfig* method_named(const std::string& name) const {
    const auto found =
        std::find_if(e_.methods.begin(), e_.methods.end(), [&](const auto& m) { return m.name == name; });
    return found == e_.methods.end() ? nullptr : &*found;
  }

  /// The logo method that a key of `comparison` names; nullptr after adding an issue.
  const MethodConfig* logo_named(const std::string& name, const Path& path) {
    std::vector<std::string> oracles;
    for (const auto& m : e_.methods) {
      if (m.method == "logo") oracles.push_back(m.name);
    }
    const MethodConfig* found = method_named(name);
    const bool oracle = found != nullptr && found->method == "logo";
    const std::string there_are =
        oracles.empty() ? "there is none; add {method: logo}" : "there are " + config::or_list(oracles);
    rule(!oracle, path,
         [&] {
           return found == nullptr
                      ? fmt::format("'{}'{} names no method of the list{} (logo methods: {})", name, by_default(path),
                                    config::did_you_mean(name, oracles), there_are)
                      : fmt::format("'{}' is method {}, but only retraining (method: logo) is an oracle: {}", name,
                                    found->method, there_are);
         },
         {{"methods"}});
    return oracle ? found : nullptr;
  }

  void comparison() {
    const auto& c = e_.comparison;
    const Path second_path{"comparison", "second_reference"};
    const MethodConfig* first = logo_named(c.reference, {"comparison", "reference"});
    if (!c.second_reference.empty()) {
      const MethodConfig* second = logo_named(c.second_reference, second_path);
      rule(first != nullptr && first == second, second_path,
           [] { return "is the reference itself; name another logo method with another seed"; });
      rule(first != nullptr && second != nullptr && first != second && first->seed == second->seed, second_path,
           [&] {
             return fmt::format("'{}' and '{}' have the same seed, {}: they are the same models; give one another seed",
                                first->name, second->name, first->seed);
           },
           {{"methods"}});
    }
    weightings();
  }

  void evaluation() {
    const RemovalConfig& r = e_.evaluation.removal;
    const Path items{"evaluation", "removal", "items"}, queries{"evaluation", "removal", "queries"};
    if (r.items == 0) return;
    const auto drawn =
        std::find_if(e_.queries.begin(), e_.queries.end(), [](const auto& q) { return q.kind == "generated"; });
    rule(drawn == e_.queries.end(), items, [] { return "wants a query set with kind: generated, to draw it again"; },
         {{"queries"}});
    rule(drawn != e_.queries.end() && drawn->count < r.queries, queries,
         [&] { return fmt::format("{} are more than the {} of '{}'", r.queries, drawn->count, drawn->name); },
         {{"queries"}});
    rule(std::uint64_t{r.items} * r.queries >= e_.dataset.train, items,
         [&] {
           return fmt::format("{} for each of {} queries may be all {} training items; lower it", r.items, r.queries,
                              e_.dataset.train);
         },
         {queries, {"dataset", "train"}});
    bool any = false;
    for (std::size_t i = 0; i < e_.methods.size(); ++i) {
      const std::uint32_t kept = e_.methods[i].kept_instances();
      const std::string& method = e_.methods[i].method;
      const bool ascends = method == "abu" || method == "choi";
      const char* const section = method == "similarity" ? "similarity"
                                  : method == "mucs"     ? "mucs"
                                  : ascends              ? "ascent"
                                                         : "gradients";
      any |= kept > 0;
      rule(kept > 0 && kept < r.items, {"methods", std::to_string(i), section, "keep_instances"},
           [&] { return fmt::format("{} is less than evaluation.removal.items, {}", kept, r.items); }, {items});
      rule(kept > 0 && (ascends || method == "mucs") && r.queries > e_.scoring.block, queries,
           [&] {
             return fmt::format("'{}' keeps instances for {} queries a job (scoring.block), not for {}",
                                e_.methods[i].name, e_.scoring.block, r.queries);
           },
           {{"scoring", "block"}});
    }
    rule(!any, items,
         [] {
           return "no method keeps instances: give one keep_instances of so many (in gradients, ascent, mucs or "
                  "similarity)";
         },
         {{"methods"}});
  }

  void weightings() {
    const auto& list = e_.comparison.weightings;
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto& w = list[i];
      const Path here{"comparison", "weightings", std::to_string(i)};
      const auto at = [&](const char* key) { return Path{here[0], here[1], here[2], key}; };
      const auto [known, added] = first.emplace(w.name, i);
      rule(!added, at("name"), [&, known = known] {
        return fmt::format("'{}' is already the name of entry {}", w.name, known->second + 1);
      });
      rule(w.t_min >= w.t_max, at("t_max"),
           [&] { return fmt::format("{} must be more than t_min, {}", w.t_max, w.t_min); }, {at("t_min")});
      rule(w.t_max != kNoLimit && w.t_max > e_.diffusion.timesteps, at("t_max"),
           [&] { return fmt::format("{} is more than diffusion.timesteps, {}", w.t_max, e_.diffusion.timesteps); },
           {{"diffusion", "timesteps"}});
      custom_weights(w, here);
      rule(w.t_min < w.t_max && !scores_within(w), at("t_min"),
           [&] {
             return fmt::format("no scored timestep is in [{}, {})", w.t_min,
                                w.t_max == kNoLimit ? e_.diffusion.timesteps : w.t_max);
           },
           {at("t_max"), {"scoring"}, {"diffusion", "timesteps"}});
    }
  }

  void custom_weights(const WeightingConfig& w, const Path& here) {
    if (w.kind != "custom") return;
    const auto at = [&](const char* key) { return Path{here[0], here[1], here[2], key}; };
    rule(w.timesteps.empty(), at("timesteps"), [] { return "wants at least one timestep, because the kind is custom"; },
         {at("kind")});
    rule(w.weights.size() != w.timesteps.size(), at("weights"),
         [&] {
           return fmt::format("has {} numbers for {} timesteps; give one for each", w.weights.size(),
                              w.timesteps.size());
         },
         {at("timesteps")});
    const auto falls = std::adjacent_find(w.timesteps.begin(), w.timesteps.end(), std::greater_equal<>());
    rule(falls != w.timesteps.end(), at("timesteps"),
         [&] { return fmt::format("must ascend, but {} is followed by {}", *falls, *std::next(falls)); });
    rule(!w.weights.empty() && std::all_of(w.weights.begin(), w.weights.end(), [](double x) { return x == 0; }),
         at("weights"), [] { return "are all 0; one must not be"; });
  }

  [[nodiscard]] bool scores_within(const WeightingConfig& w) const {
    const auto& s = e_.scoring;
    if (w.t_min <= s.first_timestep) return s.first_timestep < w.t_max;
    const std::uint64_t next =
        s.first_timestep + (std::uint64_t{w.t_min} - s.first_timestep + s.stride - 1) / s.stride * s.stride;
    return next < w.t_max && next <= s.last_timestep;
  }

  [[nodiscard]] static bool exists(const std::filesystem::path& path) {
    std::error_code failed;
    return std::filesystem::exists(path, failed);
  }
  [[nodiscard]] static bool is_file(const std::filesystem::path& path) {
    std::error_code failed;
    return std::filesystem::is_regular_file(path, failed);
  }

  const Experiment& e_;
  const Node& root_;
  config::Issues& issues_;
  const config::Issues by_itself_;  ///< what was wrong before the first check
  const bool data_may_be_missing_;
};

}  // namespace

void check_experiment(const Experiment& experiment, const Node& root, config::Issues& issues,
                      bool data_may_be_missing) {
  Checks(experiment, root, issues, data_may_be_missing).all();
}

}  // namespace guda::jobs
