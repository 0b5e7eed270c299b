#pragma once
// The section `methods[].unlearn`.
#include "jobs/schema/field.hpp"
#include "jobs/schema/training.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<AnchorConfig> auto& c) {
  constexpr std::string_view kStyled = "weighted_style_select|uniform";
  visit(Field{.key = "mode",
              .meaning =
                  "the full model is asked under another style's caption, drawn by the likeness of the descriptors "
                  "or uniformly; under the caption without its style; or about a retained image of the same object",
              .choices = "weighted_style_select|uniform|style_removed|matched_retain"},
        c.mode);
  visit(Field{.key = "beta",
              .meaning = "inverse temperature of the cosines between mean descriptor embeddings",
              .max = 1e6,
              .only_key = "mode",
              .only_values = "weighted_style_select"},
        c.beta);
  visit(Field{.key = "eta",
              .meaning = "share of the uniform distribution",
              .max = 1,
              .only_key = "mode",
              .only_values = "weighted_style_select"},
        c.eta);
  visit(Field{.key = "descriptors",
              .meaning = "how many of the other style's descriptors its caption has",
              .min = 1,
              .max = 16,
              .only_key = "mode",
              .only_values = kStyled},
        c.descriptors);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<UnlearnConfig> auto& c) {
  constexpr std::string_view kForgetting =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|ifu|esd|esd_class|erasediff|siss|mucs|fisher|guda_"
      "c";
  constexpr std::string_view kInLoop =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|ifu|esd|esd_class|erasediff|siss|mucs|guda_c";
  constexpr std::string_view kByGradient =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|finetune_retain|ifu|esd|esd_class|erasediff|siss|"
      "mucs|guda_c";
  constexpr std::string_view kWeighted =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|esd|esd_class|erasediff|mucs|guda_c";
  constexpr std::string_view kWithNeighbours = "retrack_exact|retrack_clipped|retrack_minsnr";
  visit(Field{.key = "op",
              .meaning = "unlearning operator (docs/methods.md)",
              .choices = "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|finetune_retain|ifu|esd|"
                         "esd_class|erasediff|siss|mucs|fisher|guda_c"},
        c.op);
  visit(Field{.key = "steps",
              .meaning = "optimizer steps per group; fisher: batches that its averages run over",
              .min = 1,
              .max = 100000000,
              .unit = "steps"},
        c.steps);
  visit(Field{.key = "retain_batch", .meaning = "retained images per step", .min = 1, .max = 1000000, .unit = "images"},
        c.retain_batch);
  visit(Field{.key = "forget_batch",
              .meaning = "images of the group per step",
              .min = 1,
              .max = 1000000,
              .unit = "images",
              .only_key = "op",
              .only_values = kForgetting},
        c.forget_batch);
  visit(Field{.key = "optimizer",
              .meaning = "AdamW of unlearning, started afresh",
              .only_key = "op",
              .only_values = kByGradient},
        c.optimizer);
  visit(Field{.key = "warmup_steps",
              .meaning = "steps of linear warm-up",
              .max = 100000000,
              .unit = "steps",
              .only_key = "op",
              .only_values = kByGradient},
        c.warmup_steps);
  visit(Field{.key = "decay",
              .meaning = "learning rate after warm-up: half-cosine to 0 at the last step, or constant",
              .choices = "cosine|constant",
              .only_key = "op",
              .only_values = kByGradient},
        c.decay);
  visit(Field{.key = "horizon",
              .meaning = "step at which the decay would end, when unlearning stops before it; 0 = the last step",
              .max = 100000000,
              .unit = "steps",
              .only_key = "op",
              .only_values = kByGradient},
        c.horizon);
  visit(Field{.key = "clip",
              .meaning = "largest global gradient norm; 0 = off",
              .max = 1e9,
              .only_key = "op",
              .only_values = kByGradient},
        c.clip);
  visit(Field{.key = "forget_weight",
              .meaning = "lambda in MSE_retain + lambda MSE_forget",
              .max = 1e6,
              .only_key = "op",
              .only_values = kWeighted},
        c.forget_weight);
  visit(Field{.key = "forget_scaling",
              .meaning =
                  "lambda for every group alike, or times n_k/n_r times the number of groups: use it for groups of "
                  "unequal size",
              .choices = "constant|proportional",
              .only_key = "op",
              .only_values = kWeighted},
        c.forget_scaling);
  visit(Field{.key = "strength",
              .meaning = "factor of the weight that these operators derive from the group's size, n_k/n_r",
              .max = 1e6,
              .open = true,
              .only_key = "op",
              .only_values = "ifu|siss|fisher"},
        c.strength);
  visit(Field{.key = "horizontal_flip",
              .meaning =
                  "mirror half of the images at random; neighbours are then sought in both orientations, and a forget "
                  "image is mirrored together with its neighbours"},
        c.horizontal_flip);
  visit(Field{.key = "neighbours",
              .meaning = "retained images K that a forget image is redirected to; 0 = all",
              .max = 100000000,
              .unit = "images",
              .only_key = "op",
              .only_values = kWithNeighbours},
        c.neighbours);
  visit(Field{.key = "kl_cap",
              .meaning = "the correction's norm is at most sqrt(2 kl_cap)",
              .max = 1e12,
              .open = true,
              .unit = "nats",
              .only_key = "op",
              .only_values = "retrack_clipped"},
        c.kl_cap);
  visit(Field{.key = "minsnr_gamma",
              .meaning = "forget loss weight is min(SNR, gamma)/SNR",
              .max = 1e12,
              .open = true,
              .only_key = "op",
              .only_values = "retrack_minsnr"},
        c.minsnr_gamma);
  visit(Field{.key = "preserve",
              .meaning = "retained images are fitted by denoising, or to the full model's predictions",
              .choices = "standard|distillation",
              .only_key = "op",
              .only_values = "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|finetune_retain|esd|esd_"
                             "class|erasediff|mucs"},
        c.preserve);
  visit(Field{.key = "rho",
              .meaning = "weight of the quadratic term on forget images; 0 = unbounded below",
              .max = 1e6,
              .only_key = "op",
              .only_values = "ifu"},
        c.rho);
  visit(Field{.key = "guidance",
              .meaning = "w in the forget target: teacher + w (teacher - noise), or e_u + w (e_u - e_c) of the guide",
              .max = 1e6,
              .only_key = "op",
              .only_values = "esd|esd_class"},
        c.guidance);
  visit(Field{.key = "gradient_cap",
              .meaning = "largest norm of the forget gradient, in norms of the step's retain gradient; 0 = off",
              .max = 1e6,
              .only_key = "op",
              .only_values = "siss"},
        c.gradient_cap);
  visit(Field{.key = "damping",
              .meaning = "added to the diagonal of the Fisher matrix, in units of its mean",
              .max = 1e6,
              .open = true,
              .only_key = "op",
              .only_values = "fisher"},
        c.damping);
  visit(
      Field{
          .key = "guard_temperature",
          .meaning =
              "GUARD: forget images weigh softmax(-alignment with the retain gradient / this), mean 1; 0 = all weigh 1",
          .max = 1e6,
          .only_key = "op",
          .only_values = kInLoop},
      c.guard_temperature);
  visit(Field{.key = "anchor",
              .meaning = "what the full model is asked in place of a forget image's caption",
              .younger = true,
              .only_key = "op",
              .only_values = "guda_c"},
        c.anchor);
  visit(Field{.key = "parameters",
              .meaning = "which numbers unlearning changes",
              .younger = true,
              .only_key = "op",
              .only_values = kByGradient},
        c.parameters);
}

}  // namespace guda::jobs
