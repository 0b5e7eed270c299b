#pragma once
// The section `methods`.
#include "jobs/schema/field.hpp"
#include "jobs/schema/method_settings.hpp"
#include "jobs/schema/unlearn.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<MethodConfig> auto& c) {
  visit(Field{.key = "name",
              .meaning = "name in tables; loss__NAME and score__NAME in results.h5",
              .name_rule = kSetNameCharacters,
              .name_length = 48,
              .starts_with_letter = true,
              .example = "logo_b",
              .by_default = "the method; the operator for guda"},
        c.name);
  visit(
      Field{.key = "method",
            .meaning = "retraining without each group (the oracle), unlearning, another way to attribute, or a control "
                       "(guda methods lists them)",
            .choices = "logo|guda|trak|dtrak|das|abu|choi|mucs|similarity|random|group_size|pixel_cosine|knn|kde_elbo"},
      c.method);
  visit(
      Field{.key = "seed",
            .meaning = "logo: 0 = the run's own random streams, another number = another retraining; random: its draw",
            .only_key = "method",
            .only_values = "logo|random"},
      c.seed);
  visit(Field{.key = "unlearn",
              .meaning = "the unlearning operator and its settings",
              .only_key = "method",
              .only_values = "guda"},
        c.unlearn);
  visit(Field{.key = "k",
              .meaning = "nearest neighbours",
              .min = 1,
              .max = 1000000,
              .only_key = "method",
              .only_values = "knn"},
        c.k);
  visit(Field{.key = "gradients",
              .meaning = "how gradients of the full model are taken, projected and summed",
              .younger = true,
              .only_key = "method",
              .only_values = "trak|dtrak|das"},
        c.gradients);
  visit(Field{.key = "ascent",
              .meaning = "how a query is unlearned by the Fisher diagonal",
              .younger = true,
              .only_key = "method",
              .only_values = "abu|choi"},
        c.ascent);
  visit(Field{.key = "mucs",
              .meaning = "how a query is unlearned by clamped ascent",
              .younger = true,
              .only_key = "method",
              .only_values = "mucs"},
        c.mucs);
  visit(Field{.key = "similarity",
              .meaning = "which features are compared, and how",
              .younger = true,
              .only_key = "method",
              .only_values = "similarity"},
        c.similarity);
}

}  // namespace guda::jobs
