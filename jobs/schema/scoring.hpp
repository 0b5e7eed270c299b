#pragma once
// The section `scoring`.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<PilotConfig> auto& c) {
  visit(Field{.key = "share",
              .meaning = "of the first run seed's queries, chosen at random; at least 4 of them",
              .max = 1,
              .open = true},
        c.share);
  visit(Field{.key = "draws", .meaning = "noise draws of every timestep", .min = 2, .max = 1000, .unit = "draws"},
        c.draws);
}

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
  visit(Field{.key = "draws",
              .meaning = "independent noise draws per timestep of `allocation: grid`, for the oracle and again for the "
                         "methods; 2 or more give plain standard errors",
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
  visit(Field{.key = "allocation",
              .meaning = "the slots of a score: `grid` takes every timestep `draws` times; `weight` draws `slots` of "
                         "them, more where the first of comparison.weightings is large; `adaptive` also where a pilot "
                         "under the oracle's models finds much noise, in a second stage. All estimate the same sum "
                         "over the timesteps",
              .choices = "grid|weight|adaptive",
              .younger = true},
        c.allocation);
  visit(Field{.key = "slots",
              .meaning = "drawn slots per query and model, for the oracle and again for the methods; even",
              .min = 2,
              .max = 1000000,
              .unit = "slots",
              .by_default = "none",
              .younger = true,
              .only_key = "allocation",
              .only_values = "weight|adaptive"},
        c.slots);
  visit(Field{.key = "antithetic",
              .meaning = "score every draw or slot twice, with its noise and with the negative of it: twice the "
                         "forwards; the pair counts as one draw",
              .younger = true},
        c.antithetic);
  visit(Field{.key = "pilot",
              .meaning = "what adaptive slots are decided by",
              .younger = true,
              .only_key = "allocation",
              .only_values = "adaptive"},
        c.pilot);
  visit(
      Field{.key = "until",
            .meaning = "`all` scores every slot for every group; `top1`, `top3` and `ranking` race: slots are spent in "
                       "rounds, and a group gets no more for a query once its place is decided - whether it is the "
                       "first, among the first three, or each place. What `slots` do not decide is reported as "
                       "undecided. Wants drawn slots (`allocation`)",
            .choices = "all|top1|top3|ranking",
            .younger = true},
      c.until);
  visit(Field{.key = "confidence",
              .meaning = "probability that no place of a query is decided wrongly, whenever the race stops",
              .min = 0.5,
              .max = 1,
              .open = true,
              .younger = true,
              .only_key = "until",
              .only_values = "top1|top3|ranking"},
        c.confidence);
  visit(
      Field{.key = "unit",
            .meaning = "slots of a unit, a small estimate of the whole score; places are decided from 8 units on, and "
                       "`slots` are at least 8 units",
            .min = 1,
            .max = 1000,
            .unit = "slots",
            .younger = true,
            .only_key = "until",
            .only_values = "top1|top3|ranking"},
      c.unit);
}

}  // namespace guda::jobs
