#pragma once
// The section `guide`.
#include "jobs/schema/field.hpp"
#include "jobs/schema/training.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<GuideConfig> auto& c) {
  visit(Field{.key = "block_out_channels",
              .meaning = "channels of each resolution of the guide; the rest of its shape is that of `model`",
              .min = 1,
              .max = 65536,
              .example = "[128, 256, 256, 512]",
              .by_default = "no guide"},
        c.block_out_channels);
  visit(Field{.key = "training", .meaning = "of the guide"}, c.training);
  visit(Field{.key = "label_dropout",
              .meaning = "share of its training images whose class is withheld: it predicts without a class too",
              .max = 1,
              .open = true},
        c.label_dropout);
}

}  // namespace guda::jobs
