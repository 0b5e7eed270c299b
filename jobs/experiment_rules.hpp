#pragma once
// What the checks across keys are written with: a rule that is broken becomes an issue at its key, unless a key that it
// reads is wrong by itself.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/config/issues.hpp"
#include "common/config/yaml.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

using KeyPath = std::vector<std::string>;  ///< entries of lists by index

class Rules {
 public:
  Rules(const Experiment& experiment, const config::Node& root, config::Issues& issues)
      : e_(experiment), root_(root), issues_(issues), by_itself_(issues) {}

  [[nodiscard]] const Experiment& experiment() const { return e_; }
  /// Adds an issue at `path` when `broken`, unless a key that the rule reads is wrong by itself.
  void rule(bool broken, const KeyPath& path, const std::function<std::string()>& what,
            const std::vector<KeyPath>& reads = {});
  /// " (the default)" when the file does not say it.
  [[nodiscard]] const char* by_default(const KeyPath& path) const;
  [[nodiscard]] bool written(const KeyPath& path) const;

  /// A decay's horizon is not before the last step.
  void horizon(KeyPath section, std::uint32_t value, std::uint32_t steps);
  void at_most_training_items(const KeyPath& path, std::uint32_t value);
  template <class Entry>
  void unique_names(const std::string& list, const std::vector<Entry>& entries) {
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto [known, added] = first.emplace(entries[i].name, i);
      if (!added) taken(list, i, entries[i].name, known->second);
    }
  }

  [[nodiscard]] static bool exists(const std::filesystem::path& path);
  [[nodiscard]] static bool is_file(const std::filesystem::path& path);

 protected:
  const Experiment& e_;

 private:
  void taken(const std::string& list, std::size_t entry, const std::string& name, std::size_t by);

  const config::Node& root_;
  config::Issues& issues_;
  const config::Issues by_itself_;  ///< what was wrong before the first check
};

/// The sections `comparison` and `evaluation`; `pipeline` and what goes with it.
void check_comparison(Rules& rules);
void check_pipeline(Rules& rules, bool data_may_be_missing);

}  // namespace guda::jobs
