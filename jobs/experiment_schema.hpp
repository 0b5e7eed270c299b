#pragma once
// THE schema: every key of the experiment file, once, in one file a section (jobs/schema). Three readers visit it: the
// parser of YAML files (jobs/experiment_file.cpp), the JSON hooks (jobs/experiment_json.cpp) and docs/config.md
// (jobs/config_reference.cpp). A new setting is a field in jobs/experiment.hpp (with its default) and one line there.
#include "jobs/schema/comparison.hpp"
#include "jobs/schema/data.hpp"
#include "jobs/schema/evaluation.hpp"
#include "jobs/schema/field.hpp"
#include "jobs/schema/guide.hpp"
#include "jobs/schema/methods.hpp"
#include "jobs/schema/pipeline.hpp"
#include "jobs/schema/queries.hpp"
#include "jobs/schema/resources.hpp"
#include "jobs/schema/scoring.hpp"
#include "jobs/schema/training.hpp"
#include "jobs/schema/unlearn.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<Experiment> auto& c) {
  visit(Field{.key = "name",
              .meaning = "name of the experiment; the run directory is runs/NAME",
              .name_rule = kRunNameCharacters,
              .name_length = 64,
              .example = "digits"},
        c.name);
  visit(Field{.key = "seeds",
              .meaning = "run seeds; each has its own full model, queries and counterfactual models",
              .example = "[0, 1, 2]"},
        c.seeds);
  visit(Field{.key = "dataset", .meaning = "the training data"}, c.dataset);
  visit(Field{.key = "groups", .meaning = "the groups whose contribution is measured"}, c.groups);
  visit(Field{.key = "model",
              .meaning = "UNet2DModel with the keys of its config.json in diffusers 0.31; with `pipeline`, and "
                         "`_class_name: UNet2DConditionModel`, that"},
        c.model);
  visit(Field{.key = "diffusion", .meaning = "the forward process"}, c.diffusion);
  visit(Field{.key = "training", .meaning = "of the full model and of every LOGO model"}, c.training);
  visit(Field{.key = "guide",
              .meaning =
                  "the class-conditional model that `esd_class` guides with, trained once on the whole training set",
              .by_default = "none",
              .younger = true},
        c.guide);
  visit(Field{.key = "pipeline",
              .meaning = "what makes the experiment one of text-to-image models ([styles.md](styles.md))",
              .by_default = "none",
              .younger = true},
        c.pipeline);
  visit(Field{.key = "queries", .meaning = "the images to explain: a list of query sets"}, c.queries);
  visit(Field{.key = "scoring", .meaning = "the timesteps and noise draws on which ELBO differences are measured"},
        c.scoring);
  visit(Field{.key = "methods",
              .meaning = "what is computed and compared: a list; a method may appear several times under "
                         "several names"},
        c.methods);
  visit(Field{.key = "comparison", .meaning = "how agreement with the oracle is measured"}, c.comparison);
  visit(Field{.key = "evaluation",
              .meaning = "what shows whether scores are right without the oracle (guda evaluate)",
              .by_default = "none",
              .younger = true},
        c.evaluation);
  visit(Field{.key = "resources", .meaning = "where it runs"}, c.resources);
  visit(Field{.key = "retention", .meaning = "what is kept"}, c.retention);
  visit(
      Field{
          .key = "reuse",
          .meaning =
              "run directories whose models and query sets of equal digest are taken, verified, instead of made again",
          .example = "[runs/digits]",
          .by_default = "none",
          .younger = true},
      c.reuse);
}

}  // namespace guda::jobs
