#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "common/config/suggest.hpp"
#include "jobs/experiment_rules.hpp"

namespace guda::jobs {
namespace {

constexpr std::uint32_t kNoLimit = WeightingConfig{}.t_max;

class ComparisonChecks {
 public:
  explicit ComparisonChecks(Rules& rules) : r_(rules), e_(rules.experiment()) {}

  void all() {
    comparison();
    evaluation();
  }

 private:
  [[nodiscard]] const MethodConfig* method_named(const std::string& name) const {
    const auto found =
        std::find_if(e_.methods.begin(), e_.methods.end(), [&](const auto& m) { return m.name == name; });
    return found == e_.methods.end() ? nullptr : &*found;
  }

  /// The logo method that a key of `comparison` names; nullptr after adding an issue.
  const MethodConfig* logo_named(const std::string& name, const KeyPath& path) {
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
                      ? fmt::format("'{}'{} names no method of the list{} (logo methods: {})", name,
                                    r_.by_default(path), config::did_you_mean(name, oracles), there_are)
                      : fmt::format("'{}' is method {}, but only retraining (method: logo) is an oracle: {}", name,
                                    found->method, there_are);
         },
         {{"methods"}});
    return oracle ? found : nullptr;
  }

  void comparison() {
    const auto& c = e_.comparison;
    const KeyPath second_path{"comparison", "second_reference"};
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
    const KeyPath items{"evaluation", "removal", "items"}, queries{"evaluation", "removal", "queries"};
    if (r.items == 0) return;
    const auto drawn =
        std::find_if(e_.queries.begin(), e_.queries.end(), [](const auto& q) { return q.kind == "generated"; });
    rule(drawn == e_.queries.end(), items, [] { return "wants a query set with kind: generated, to draw it again"; },
         {{"queries"}});
    rule(drawn != e_.queries.end() && drawn->count < r.queries, queries,
         [&] { return fmt::format("{} are more than the {} of '{}'", r.queries, drawn->count, drawn->name); },
         {{"queries"}});
    rule(e_.dataset.train > 0 && std::uint64_t{r.items} * r.queries >= e_.dataset.train, items,
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
      const KeyPath here{"comparison", "weightings", std::to_string(i)};
      const auto at = [&](const char* key) { return KeyPath{here[0], here[1], here[2], key}; };
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

  void custom_weights(const WeightingConfig& w, const KeyPath& here) {
    if (w.kind != "custom") return;
    const auto at = [&](const char* key) { return KeyPath{here[0], here[1], here[2], key}; };
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

  void rule(bool broken, const KeyPath& path, const std::function<std::string()>& what,
            const std::vector<KeyPath>& reads = {}) {
    r_.rule(broken, path, what, reads);
  }

  Rules& r_;
  const Experiment& e_;
};

}  // namespace

void check_comparison(Rules& rules) { ComparisonChecks(rules).all(); }

}  // namespace guda::jobs
