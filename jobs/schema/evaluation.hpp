#pragma once
// The section `evaluation`.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<SubsetsConfig> auto& c) {
  visit(Field{.key = "count",
              .meaning = "models per run seed that are trained without a random part of the groups; 0 = none",
              .max = 1000,
              .unit = "models"},
        c.count);
  visit(Field{.key = "share", .meaning = "of the groups that each of them goes without", .max = 1, .open = true},
        c.share);
  visit(Field{.key = "seed", .meaning = "of the draw"}, c.seed);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<RemovalConfig> auto& c) {
  visit(Field{.key = "items",
              .meaning = "training items of each of these queries, largest score first, that a model is retrained "
                         "without, for every method that keeps instances; 0 = none",
              .max = 1e6,
              .unit = "items"},
        c.items);
  visit(Field{.key = "queries",
              .meaning = "the first so many queries of the first generated set; the others are controls",
              .min = 1,
              .max = 1e6,
              .unit = "queries"},
        c.queries);
  visit(Field{.key = "encoder",
              .meaning =
                  "folder of a CLIP model: the change of a query is also measured as the cosine distance of its pooled "
                  "image features",
              .example = "clip-vit-base-patch32",
              .younger = true},
        c.encoder);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<EvaluationConfig> auto& c) {
  visit(Field{.key = "subsets",
              .meaning = "the linear datamodelling score: do sums of scores predict the losses of other models?"},
        c.subsets);
  visit(Field{.key = "removal", .meaning = "do the queries change when their top training items are gone?"}, c.removal);
}

}  // namespace guda::jobs
