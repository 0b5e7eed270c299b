#include "jobs/experiment_file.hpp"

#include "common/config/yaml.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/autoencoder_model.hpp"
#include "jobs/experiment_checks.hpp"
#include "jobs/experiment_parse.hpp"
#include "jobs/experiment_tree.hpp"
#include "jobs/pipeline_folder.hpp"
#include "jobs/weighting.hpp"

namespace guda::jobs {
namespace {

/// A pipeline's folder says what its model is; a plan of one that is not there is made for Stable Diffusion 1.5.
void take_model_of_pipeline(Experiment& experiment, bool data_may_be_missing) {
  const std::filesystem::path& folder = experiment.pipeline.folder;
  if (folder.empty() || !experiment.model.empty()) return;
  const std::filesystem::path config = folder / "unet" / "config.json";
  std::error_code missing;
  if (data_may_be_missing && !std::filesystem::exists(folder, missing)) {
    experiment.model = stable_diffusion_unet();
  } else if (std::filesystem::exists(config, missing)) {
    experiment.model = Json::parse(read_file(config), nullptr, /*allow_exceptions=*/false);
    if (!experiment.model.is_object()) throw Error(config.string() + ": is not JSON; save the pipeline again");
  } else {
    return;
  }
  // The model works on latents of any size; what it costs goes with that of the pictures.
  const DatasetConfig& data = experiment.dataset;
  if (!data.of_pictures() || data.side == 0) return;
  const std::uint32_t reduction = reduction_of(autoencoder_of(experiment, {3, data.side, data.side}));
  if (data.side % reduction == 0) experiment.model["sample_size"] = data.side / reduction;
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
  take_model_of_pipeline(experiment, data_may_be_missing);
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
