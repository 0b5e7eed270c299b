#pragma once
// The sections `diffusion` and `training`, and optimizers.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<DiffusionConfig> auto& c) {
  visit(Field{.key = "timesteps", .meaning = "length T of the diffusion", .min = 2, .max = 100000, .unit = "timesteps"},
        c.timesteps);
  visit(Field{.key = "schedule",
              .meaning = "noise schedule, as named by diffusers",
              .choices = "linear|scaled_linear|squaredcos_cap_v2"},
        c.schedule);
  visit(Field{.key = "beta_start",
              .meaning = "noise variance of the first timestep",
              .max = 1,
              .open = true,
              .only_key = "schedule",
              .only_values = "linear|scaled_linear"},
        c.beta_start);
  visit(Field{.key = "beta_end",
              .meaning = "noise variance of the last timestep",
              .max = 1,
              .open = true,
              .only_key = "schedule",
              .only_values = "linear|scaled_linear"},
        c.beta_end);
  visit(Field{.key = "prediction", .meaning = "what the model predicts", .choices = "epsilon|v_prediction|sample"},
        c.prediction);
  visit(
      Field{.key = "tables",
            .meaning = "arithmetic of the schedule's tables; float32 = rounded at every step, as diffusers keeps them",
            .choices = "float64|float32"},
      c.tables);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<OptimizerConfig> auto& c) {
  visit(Field{.key = "lr", .meaning = "learning rate after warm-up", .max = 10, .open = true}, c.lr);
  visit(Field{.key = "beta1", .meaning = "decay of the mean of gradients", .max = 0.999999}, c.beta1);
  visit(Field{.key = "beta2", .meaning = "decay of the mean of squared gradients", .max = 0.9999999}, c.beta2);
  visit(Field{.key = "eps", .meaning = "added to the root of the second moment", .max = 1, .open = true}, c.eps);
  visit(Field{.key = "weight_decay", .meaning = "decoupled weight decay", .max = 10}, c.weight_decay);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<ParametersConfig> auto& c) {
  visit(Field{.key = "kind",
              .meaning = "all; the projections of every attention layer (to_q, to_k, to_v, to_out); or pairs of thin "
                         "matrices beside the transformers' projections, merged into them at the end (LoRA)",
              .choices = "all|attention|lora"},
        c.kind);
  visit(Field{.key = "rank",
              .meaning = "width of the pairs",
              .min = 1,
              .max = 4096,
              .only_key = "kind",
              .only_values = "lora"},
        c.rank);
  visit(Field{.key = "alpha",
              .meaning = "a pair's product counts alpha / rank; 0 = rank, so that it counts once",
              .max = 1e6,
              .only_key = "kind",
              .only_values = "lora"},
        c.alpha);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<TrainingConfig> auto& c) {
  visit(Field{.key = "steps",
              .meaning = "optimizer steps of the full model and of every LOGO model",
              .min = 1,
              .max = 100000000,
              .unit = "steps"},
        c.steps);
  visit(Field{.key = "batch", .meaning = "images per step", .min = 1, .max = 1000000, .unit = "images"}, c.batch);
  visit(Field{.key = "optimizer", .meaning = "AdamW of training"}, c.optimizer);
  visit(Field{.key = "warmup_steps", .meaning = "steps of linear warm-up", .max = 100000000, .unit = "steps"},
        c.warmup_steps);
  visit(Field{.key = "decay",
              .meaning = "learning rate after warm-up: half-cosine to 0 at the last step, or constant",
              .choices = "cosine|constant"},
        c.decay);
  visit(Field{.key = "horizon",
              .meaning = "step at which the decay would end, when training stops before it; 0 = the last step",
              .max = 100000000,
              .unit = "steps"},
        c.horizon);
  visit(Field{.key = "clip", .meaning = "largest global gradient norm; 0 = off", .max = 1e9}, c.clip);
  visit(Field{.key = "ema_max_decay",
              .meaning = "decay of the averaged weights is min(this, (1+n)/(10+n)) at step n; 0 = raw weights are used",
              .max = 0.9999999},
        c.ema_max_decay);
  visit(Field{.key = "stratified_timesteps",
              .meaning = "one timestep per stratum of the batch instead of independent draws"},
        c.stratified_timesteps);
  visit(Field{.key = "horizontal_flip", .meaning = "mirror half of the training images at random"}, c.horizontal_flip);
  visit(Field{.key = "parameters",
              .meaning = "which numbers fine-tuning changes (full and LOGO models of a pipeline)",
              .younger = true},
        c.parameters);
}

}  // namespace guda::jobs
