#pragma once
// The section `scoring`.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<ScoringConfig> auto& c) {
  visit(Field{.key = "first_timestep",
              .meaning = "first timestep that is scored (the ELBO weight of t = 0 is undefined)",
              .min = 1,
              .max = 100000,
              .unit = "timestep"},
        c.first_timestep);
  visit(Field{.key = "last_timestep",
              .meaning = "no timestep beyond this one is scored; below diffusion.timesteps",
              .min = 1,
              .max = 100000,
              .unit = "timestep"},
        c.last_timestep);
  visit(Field{.key = "stride", .meaning = "every how many timesteps", .min = 1, .max = 100000, .unit = "timesteps"},
        c.stride);
  visit(
      Field{.key = "draws",
            .meaning = "independent noise draws per timestep, for the oracle and again for the methods; 2 or more give "
                       "plain standard errors",
            .min = 1,
            .max = 10000,
            .unit = "draws"},
      c.draws);
  visit(Field{.key = "block",
              .meaning = "queries per Score job: the unit of work that is lost and repeated",
              .min = 1,
              .max = 10000000,
              .unit = "queries"},
        c.block);
  visit(Field{.key = "batch",
              .meaning = "rows (query, slot) per forward pass; part of the numerics",
              .min = 1,
              .max = 1000000,
              .unit = "rows"},
        c.batch);
}

}  // namespace guda::jobs
