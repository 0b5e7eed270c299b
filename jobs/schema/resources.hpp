#pragma once
// The sections `resources` and `retention`.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<ResourcesConfig> auto& c) {
  visit(Field{.key = "workers",
              .meaning = "worker processes; 0 = one per GPU, or per CPU core divided by threads",
              .max = 65536},
        c.workers);
  visit(Field{.key = "threads", .meaning = "compute threads per worker; part of the numerics", .min = 1, .max = 1024},
        c.threads);
  visit(Field{.key = "device", .meaning = "where models run", .choices = "cpu|cuda"}, c.device);
  visit(
      Field{.key = "precision",
            .meaning = "of products on a GPU; weights, sums and scores stay float32 or better. tf32 rounds the factors "
                       "to 10 bits; bfloat16 trains and unlearns with bfloat16 copies of float32 weights and scores "
                       "as tf32 does; part of the digest",
            .choices = "float32|tf32|bfloat16",
            .by_default = "float32 on a CPU, tf32 on a GPU",
            .younger = true},
      c.precision);
  visit(
      Field{.key = "deterministic",
            .meaning = "on a GPU: only algorithms that give the same bits in every run, which are slower; a CPU always "
                       "does; part of the digest",
            .younger = true,
            .only_key = "device",
            .only_values = "cuda"},
      c.deterministic);
  visit(
      Field{.key = "micro_batch",
            .meaning = "rows of a training or unlearning step that a worker computes at once, their gradients added "
                       "up; 0 = all. Less memory, other last bits, so part of the digest. guda run halves it by itself "
                       "when memory runs out before any model is finished",
            .younger = true},
      c.micro_batch);
  visit(Field{.key = "gang",
              .meaning = "workers of one node that train one model together (full, LOGO and guide models; "
                         "unlearning and scoring take one worker a job); other bits than with one worker, so part of "
                         "the digest",
              .min = 1,
              .max = 64,
              .younger = true},
        c.gang);
  visit(Field{.key = "workers_per_device",
              .meaning = "workers that share one GPU; a GPU that other workers hold is refused otherwise",
              .min = 1,
              .max = 16,
              .younger = true,
              .only_key = "device",
              .only_values = "cuda"},
        c.workers_per_device);
  visit(
      Field{.key = "node_cache",
            .meaning = "where the workers of a node keep one common copy of each artifact that they read: a folder on "
                       "a disk (or in the memory) of every node, or `off`",
            .example = "/local/scratch",
            .by_default = "off where the run directory is on a local disk, else `$GUDA_NODE_CACHE`, `$SLURM_TMPDIR`, "
                          "`$TMPDIR` or `/tmp`",
            .younger = true},
      c.node_cache);
  visit(Field{.key = "node_cache_gb",
              .meaning = "largest size of the node cache; what was used longest ago makes room",
              .unit = "GB",
              .by_default = "a quarter of its file system, at most 64",
              .younger = true},
        c.node_cache_gb);
  visit(Field{.key = "model_memory_gb",
              .meaning = "memory for models that a worker keeps loaded between jobs; what was used longest ago makes "
                         "room",
              .unit = "GB",
              .by_default = "half of the device's memory, or of the worker's share of the node's",
              .younger = true},
        c.model_memory_gb);
  visit(Field{.key = "gradient_checkpointing",
              .meaning = "training and unlearning of a diffusion model keep the inputs of residual and attention "
                         "blocks only and compute "
                         "the rest again on the way back: the same bits, about a third more time, several times less "
                         "memory for activations",
              .younger = true},
        c.gradient_checkpointing);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<RetentionConfig> auto& c) {
  visit(Field{.key = "keep",
              .meaning = "what stays on disk when the run is done; weights = scores, queries, previews, full and LOGO "
                         "models (guda attribute needs models)",
              .choices = "scores|queries+scores|weights|all"},
        c.keep);
}

}  // namespace guda::jobs
