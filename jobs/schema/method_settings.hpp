#pragma once
// The sections `methods[].gradients`, `.ascent`, `.mucs` and `.similarity`.
#include "jobs/method_settings.hpp"
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<GradientConfig> auto& c) {
  visit(Field{.key = "timesteps",
              .meaning = "evenly spaced timesteps that the gradient of an image is averaged over",
              .min = 1,
              .max = 100000,
              .unit = "timesteps"},
        c.timesteps);
  visit(Field{.key = "projection",
              .meaning = "how gradients are shortened: a sparse sign matrix with 8 entries per weight, dense signs, or "
                         "dense normal numbers; all from a counter",
              .choices = "sjlt|rademacher|gaussian"},
        c.projection);
  visit(Field{.key = "dimension", .meaning = "length of a shortened gradient", .min = 8, .max = 32768}, c.dimension);
  visit(
      Field{.key = "rho", .meaning = "damping of the kernel, in units of its mean diagonal", .max = 1e9, .open = true},
      c.rho);
  visit(Field{.key = "aggregate",
              .meaning = "a group's score from those of its images; topk = mean of the largest `top`",
              .choices = "sum|mean|max|topk"},
        c.aggregate);
  visit(Field{.key = "top",
              .meaning = "images per group that count",
              .min = 1,
              .max = 1e6,
              .unit = "images",
              .only_key = "aggregate",
              .only_values = "topk"},
        c.top);
  visit(Field{.key = "squared", .meaning = "das: the square of an image's influence (published form), or signed"},
        c.squared);
  visit(Field{.key = "block", .meaning = "training items per Features job", .min = 1, .max = 1e6, .unit = "items"},
        c.block);
  visit(Field{.key = "keep_instances",
              .meaning = "how many training images of largest score are kept for every query, as instances.npy and "
                         "instances.json in the job's artifact; 0 = none",
              .max = 100000,
              .unit = "images"},
        c.keep_instances);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<AscentConfig> auto& c) {
  visit(Field{.key = "weights",
              .meaning = "which weights move: all, the attention layers' projections, or keys and values of "
                         "cross-attention (text-to-image models: as published)",
              .choices = "all|attention|cross_attention"},
        c.weights);
  visit(Field{.key = "steps", .meaning = "steps of ascent on a query's loss", .min = 1, .max = 10000, .unit = "steps"},
        c.steps);
  visit(Field{.key = "rise",
              .meaning = "share by which the ascent raises the query's loss, which sets its length; unused with lr",
              .max = 100,
              .open = true},
        c.rise);
  visit(Field{.key = "lr", .meaning = "the published step lr g / (N F) instead; 0 = by `rise`", .max = 1e12}, c.lr);
  visit(Field{.key = "damping",
              .meaning = "added to the Fisher diagonal, in units of its mean; 0 = none, as published",
              .max = 1e6},
        c.damping);
  visit(
      Field{.key = "draws", .meaning = "noise draws behind a query's gradient", .min = 1, .max = 1e6, .unit = "draws"},
      c.draws);
  visit(Field{.key = "passes",
              .meaning = "of the training set behind the Fisher diagonal",
              .min = 1,
              .max = 1000,
              .unit = "passes"},
        c.passes);
  visit(
      Field{.key = "flip",
            .meaning = "look at mirrored images too: half of the Fisher draws, and the larger of both changes of loss"},
      c.flip);
  visit(Field{.key = "timesteps",
              .meaning = "timesteps at which the training items' losses are compared",
              .min = 1,
              .max = 100000,
              .unit = "timesteps"},
        c.timesteps);
  visit(Field{.key = "items",
              .meaning = "training items per group that are looked at, drawn once; 0 = all",
              .max = 1e6,
              .unit = "items"},
        c.items);
  visit(Field{.key = "block", .meaning = "training items per Fisher job", .min = 1, .max = 1e6, .unit = "items"},
        c.block);
  visit(Field{.key = "keep_instances",
              .meaning = "training items, of those looked at, whose loss rises most, kept for every query; 0 = none",
              .max = 1e6,
              .unit = "items",
              .younger = true},
        c.keep_instances);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<MucsConfig> auto& c) {
  visit(Field{.key = "forget_weight", .meaning = "lambda in L_retain - lambda L_query", .max = 1e6, .open = true},
        c.forget_weight);
  visit(Field{.key = "lr", .meaning = "learning rate; 0 = a tenth of training's", .max = 10}, c.lr);
  visit(Field{.key = "weight_decay", .meaning = "decoupled weight decay", .max = 10}, c.weight_decay);
  visit(Field{.key = "batch",
              .meaning = "training images, and copies of the query, per step",
              .min = 1,
              .max = 1e6,
              .unit = "images"},
        c.batch);
  visit(Field{.key = "tolerance",
              .meaning = "unlearning stops once the query's loss reaches (1 - this) of an untrained model's",
              .max = 1,
              .open = true},
        c.tolerance);
  visit(Field{.key = "max_steps", .meaning = "steps at most", .min = 1, .max = 1e6, .unit = "steps"}, c.max_steps);
  visit(Field{.key = "timesteps",
              .meaning = "(timestep, noise) pairs of the skew, evenly over the part of the schedule with sigma > 0.31",
              .min = 1,
              .max = 100000,
              .unit = "timesteps"},
        c.timesteps);
  visit(Field{.key = "softening", .meaning = "added to the denominator of the skew", .max = 1e6}, c.softening);
  visit(Field{.key = "items",
              .meaning = "training items per group that are looked at, drawn once; 0 = all",
              .max = 1e6,
              .unit = "items"},
        c.items);
  visit(Field{.key = "keep_instances",
              .meaning = "training items, of those looked at, with the largest skew, kept for every query; 0 = none",
              .max = 1e6,
              .unit = "items",
              .younger = true},
        c.keep_instances);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<SimilarityConfig> auto& c) {
  visit(Field{.key = "features",
              .meaning = "what is compared: pixels, a CLIP vision tower, or arrays of any embedding; of text-to-image "
                         "models latents, or the embedded captions and prompts",
              .choices = "pixels|clip|npy|latents|captions"},
        c.features);
  visit(Field{.key = "aggregate",
              .meaning = "mean of cosines, cosine to the mean direction (centroid), or the largest cosine",
              .choices = "mean|centroid|max"},
        c.aggregate);
  visit(Field{.key = "encoder",
              .meaning = "folder of the CLIP model: config.json and model.safetensors as transformers saves them",
              .example = "clip-vit-base-patch32",
              .only_key = "features",
              .only_values = "clip"},
        c.encoder);
  visit(Field{.key = "projected",
              .meaning = "image features after the projection instead of the pooled output before it",
              .only_key = "features",
              .only_values = "clip"},
        c.projected);
  visit(Field{.key = "block",
              .meaning = "training items per Features job",
              .min = 1,
              .max = 1e6,
              .unit = "items",
              .only_key = "features",
              .only_values = "clip"},
        c.block);
  visit(Field{.key = "items",
              .meaning = "float32 array [training items, D] in the order of the training items' indices",
              .example = "dino-train.npy",
              .only_key = "features",
              .only_values = "npy"},
        c.items);
  visit(Field{.key = "queries",
              .meaning = "float32 array [queries, D], in the order of the query axis",
              .example = "dino-queries.npy",
              .only_key = "features",
              .only_values = "npy"},
        c.queries);
  visit(Field{.key = "reference",
              .meaning = "first so many items of every group only; 0 = all",
              .max = 1e7,
              .unit = "items"},
        c.reference);
  visit(Field{.key = "keep_instances",
              .meaning = "training items of largest cosine that are kept for every query; 0 = none",
              .max = 1e6,
              .unit = "items",
              .younger = true},
        c.keep_instances);
}

}  // namespace guda::jobs
