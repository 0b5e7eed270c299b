#pragma once
// The section `methods`.
#include "jobs/schema/field.hpp"
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
  visit(Field{.key = "method",
              .meaning = "retraining without each group (the oracle), unlearning, or a control: random scores, cosine "
                         "between pixels, k nearest neighbours",
              .choices = "logo|guda|random|pixel_cosine|knn"},
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
}

}  // namespace guda::jobs
