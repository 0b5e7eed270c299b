#pragma once
// The section `comparison` and its weightings.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<WeightingConfig> auto& c) {
  visit(Field{.key = "name",
              .meaning = "name in tables",
              .name_rule = kSetNameCharacters,
              .name_length = 64,
              .by_default = "the kind"},
        c.name);
  visit(
      Field{.key = "kind",
            .meaning =
                "weight of a timestep: that of the ELBO; 1, as the simple loss; min(SNR, gamma)/SNR; or given numbers",
            .choices = "elbo|flat|min_snr|custom"},
      c.kind);
  visit(Field{.key = "t_min", .meaning = "timesteps below this one weigh nothing", .unit = "timestep"}, c.t_min);
  visit(Field{.key = "t_max",
              .meaning = "this timestep and those above weigh nothing",
              .min = 1,
              .unit = "timestep",
              .by_default = "no limit"},
        c.t_max);
  visit(Field{.key = "gamma",
              .meaning = "limit of the signal-to-noise ratio",
              .max = 1e12,
              .open = true,
              .only_key = "kind",
              .only_values = "min_snr"},
        c.gamma);
  visit(Field{.key = "timesteps",
              .meaning = "ascending; in between weights are interpolated, beyond both ends they stay",
              .max = 100000,
              .example = "[10, 500, 990]",
              .only_key = "kind",
              .only_values = "custom"},
        c.timesteps);
  visit(Field{.key = "weights",
              .meaning = "one for each of these timesteps",
              .max = 1e12,
              .example = "[0, 1, 0.5]",
              .only_key = "kind",
              .only_values = "custom"},
        c.weights);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<ComparisonConfig> auto& c) {
  visit(Field{.key = "reference",
              .meaning = "name of the logo method that all others are compared with",
              .name_rule = kSetNameCharacters,
              .name_length = 48,
              .starts_with_letter = true},
        c.reference);
  visit(
      Field{.key = "second_reference",
            .meaning = "name of another logo method with another seed; its agreement with the reference is the ceiling",
            .name_rule = kSetNameCharacters,
            .name_length = 48,
            .starts_with_letter = true,
            .example = "logo_b",
            .by_default = "none"},
      c.second_reference);
  visit(Field{.key = "weightings",
              .meaning = "how timesteps are weighed, each a view of its own",
              .by_default = "elbo, and mid = elbo for T/10 <= t < 9T/10"},
        c.weightings);
  visit(Field{.key = "bootstrap",
              .meaning = "resamples behind every interval",
              .min = 10,
              .max = 1000000,
              .unit = "resamples"},
        c.bootstrap);
  visit(Field{.key = "confidence", .meaning = "of the intervals", .max = 1, .open = true}, c.confidence);
  visit(Field{.key = "seed", .meaning = "seed of the bootstrap"}, c.seed);
}

}  // namespace guda::jobs
