#pragma once
// The experiment file: YAML whose keys are the fields of jobs/experiment.hpp (docs/config.md).
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/experiment.hpp"

namespace guda::jobs {

/// Reads, completes and checks an experiment in a few milliseconds. `overrides` are "key.path=value" (--set), applied
/// in order; entries of lists are addressed by name or index: methods.ifu.unlearn.steps=5. Relative paths in the file
/// are relative to its folder, those in overrides to the current one; both come back absolute. Throws
/// config::ConfigError (common/config/issues.hpp) with everything that is wrong. `data_may_be_missing`: for plans,
/// which can do without images whose counts are known (has_published_counts()) and without a pipeline's folder.
[[nodiscard]] Experiment load_experiment(const std::filesystem::path& file,
                                         const std::vector<std::string>& overrides = {},
                                         bool data_may_be_missing = false);

/// The same for text; `file` names it in messages and is where relative paths start.
[[nodiscard]] Experiment read_experiment(const std::string& yaml, const std::filesystem::path& file,
                                         const std::vector<std::string>& overrides = {});

}  // namespace guda::jobs
