#pragma once
// `guda attribute`: new images scored with the models of a finished run. The extension lives in its own small run
// directory inside the run (attributions/<id>), reuses the run's weights by digest, and resumes like any other run.
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct AttributionRequest {
  std::vector<std::filesystem::path> images;
  std::string method;                  ///< empty: the run's first guda method, else its reference
  std::uint32_t draws = 4;             ///< noise draws per timestep
  std::vector<std::string> prompts{};  ///< of a text-to-image run: what each image shows, or one for all
  std::string until = "all";           ///< top1 | top3 | ranking: a race (jobs/race.hpp) instead of the grid...
  std::uint32_t slots = 0;             ///< ...of at most so many slots
};

struct PreparedAttribution {
  RunLayout run;  ///< of the extension
  PlannedExperiment planned;
  std::string method;
  std::size_t models_to_remake = 0;  ///< counterfactuals that retention dropped and that are made again
};

/// Sets up how an attribution scores: the grid with `draws`, or a race, whose slots lie where the pilot of the parent
/// run found the noise, if it had one.
void set_attribution_slots(jobs::Experiment& experiment, const AttributionRequest& request,
                           const std::vector<double>& pilot_spread);

/// Plans the extension and makes its folder. Throws Error naming every image that can't be scored, or for a method
/// without models.
[[nodiscard]] PreparedAttribution prepare_attribution(const RunLayout& parent, const AttributionRequest& request);

/// Whether every job of the extension is committed already; brings its results.h5 up to date then. Needs the lock of
/// the extension's run, with its plan installed.
[[nodiscard]] bool already_answered(const PreparedAttribution& prepared);

struct GroupContribution {
  std::string group;
  double score = 0, standard_error = 0;
};

struct ImageAttribution {
  std::filesystem::path image;
  std::vector<GroupContribution> groups;  ///< descending score
  /// The two best differ by less than two standard errors of their difference; of a race: it is not decided.
  bool undecided = false;
  double slots = 0;  ///< scored for a group, on average
};

/// Scores of a finished extension, in the order of the images. The error of the difference is that of paired draws.
[[nodiscard]] std::vector<ImageAttribution> read_attribution(const PreparedAttribution& prepared,
                                                             const AttributionRequest& request);

}  // namespace guda::orchestrator
