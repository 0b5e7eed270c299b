#include "jobs/experiment_file.hpp"

#include "common/config/yaml.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/experiment_checks.hpp"
#include "jobs/experiment_parse.hpp"
#include "jobs/experiment_tree.hpp"
#include "jobs/weighting.hpp"

namespace guda::jobs {
namespace {

/// A pipeline's folder says what its model is.
void take_model_of_pipeline(Experiment& experiment) {
  const std::filesystem::path config = experiment.pipeline.folder / "unet" / "config.json";
  std::error_code missing;
  if (experiment.pipeline.folder.empty() || !experiment.model.empty() || !std::filesystem::exists(config, missing))
    return;
  experiment.model = Json::parse(read_file(config), nullptr, /*allow_exceptions=*/false);
  if (!experiment.model.is_object()) throw Error(config.string() + ": is not JSON; save the pipeline again");
}

Experiment from_tree(config::Node root, const std::filesystem::path& file, const std::vector<std::string>& overrides,
                     config::Issues& issues, bool data_may_be_missing) {
  const bool readable = issues.empty() || !root.is_null();
  if (!readable) issues.throw_if_any();
  if (root.is_null() && overrides.empty()) {
    issues.add(root.at, "", "is empty; start from a copy of jobs/recipes/digits.yaml");
    issues.throw_if_any();
  }
  for (const std::string& override_text : overrides) apply_override(root, override_text, issues);
  Experiment experiment = parse_experiment(root, file, issues);
  take_model_of_pipeline(experiment);
  if (root.is_map()) check_experiment(experiment, root, issues, data_may_be_missing);
  issues.throw_if_any();
  if (experiment.comparison.weightings.empty()) experiment.comparison.weightings = weightings_of(experiment);
  return experiment;
}

}  // namespace

Experiment load_experiment(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                           bool data_may_be_missing) {
  config::Issues issues;
  return from_tree(config::load_yaml(file, issues), file, overrides, issues, data_may_be_missing);
}

Experiment read_experiment(const std::string& yaml, const std::filesystem::path& file,
                           const std::vector<std::string>& overrides) {
  config::Issues issues;
  return from_tree(config::parse_yaml(yaml, file.string(), issues), file, overrides, issues, false);
}

}  // namespace guda::jobs
