#pragma once
// YAML tree -> Experiment, driven by the schema. Judges every key by itself; jobs/experiment_checks.hpp judges what
// keys say together.
#include <filesystem>
#include <string>

#include "common/config/yaml.hpp"
#include "jobs/experiment.hpp"
#include "jobs/experiment_schema.hpp"

namespace guda::jobs {

/// Fields that are wrong keep their default, and an issue is added. Relative paths that stand in `file` are taken from
/// its folder, those of --set from the current one.
[[nodiscard]] Experiment parse_experiment(const config::Node& root, const std::filesystem::path& file,
                                          config::Issues& issues);

/// What a number may be: "1 to 1000", "at least 1", "more than 0"; "" = anything.
[[nodiscard]] std::string range_text(const Field& field);

/// Whether a name follows the field's rule. range_text's counterpart for people is name_rule_text.
[[nodiscard]] bool follows_name_rule(const Field& field, const std::string& name);
[[nodiscard]] std::string name_rule_text(const Field& field);

}  // namespace guda::jobs
