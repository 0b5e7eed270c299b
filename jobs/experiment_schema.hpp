#pragma once
// THE schema: every key of the experiment file, once. Three readers visit it: the parser of YAML files
// (jobs/experiment_file.cpp), the JSON hooks (jobs/experiment_json.cpp) and docs/config.md (jobs/config_reference.cpp).
// A new setting is a field in jobs/experiment.hpp (with its default) and one line here.
//
// describe(visit, config) calls visit(Field, member) for every member, in the order people read them. `config` may be
// const. Members are scalars, strings, paths, Json (model), lists of these or of structs, and nested structs.
#include <concepts>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "jobs/experiment.hpp"

namespace guda::jobs {

/// What a key means and what it may hold. Strings are literals.
struct Field {
  std::string_view key;
  std::string_view meaning = {};                         ///< one sentence for people
  double min = 0;                                        ///< numbers: smallest value...
  double max = std::numeric_limits<double>::infinity();  ///< ...and largest; integers also end with their type
  bool open = false;                                     ///< numbers: min and max themselves are not allowed
  std::string_view choices = {};                         ///< strings: "cosine|constant"
  std::string_view name_rule = {};                       ///< strings: characters allowed after the first one
  std::size_t name_length = 0;                           ///< strings: longest name
  bool starts_with_letter = false;                       ///< strings: names that become HDF5 and C identifiers
  std::string_view unit = {};
  std::string_view example = {};
  std::string_view by_default = {};   ///< says the default where the field's value does not
  bool younger = false;               ///< runs of older versions have no such key: absent in JSON means empty
  std::string_view only_key = {};     ///< the key means something only when this sibling key...
  std::string_view only_values = {};  ///< ...has one of these values ("logo|random")
};

template <class T, class Config>
concept ConfigOf = std::same_as<std::remove_const_t<T>, Config>;

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;

/// Members that have a describe() of their own.
template <class T>
concept Section = std::is_class_v<T> && !kIsList<T> && !std::is_same_v<T, std::string> &&
                  !std::is_same_v<T, std::filesystem::path> && !std::is_same_v<T, Json>;

inline constexpr std::string_view kSetNameCharacters = "A-Za-z0-9_";
inline constexpr std::string_view kRunNameCharacters = "A-Za-z0-9_. -";

template <class Visit>
void describe(Visit& visit, ConfigOf<DatasetConfig> auto& c) {
  visit(Field{.key = "kind", .meaning = "what the data set is", .choices = "digits|cifar10"}, c.kind);
  visit(Field{.key = "path",
              .meaning = "where it is; cifar10: the folder of data_batch_*.bin, test_batch.bin and batches.meta.txt",
              .by_default = "digits: the data set shipped with guda"},
        c.path);
  visit(
      Field{.key = "train",
            .meaning = "training items, taken from a seeded permutation; the rest is held out (cifar10: only the test "
                       "batch is, where there is one)",
            .min = 2,
            .unit = "items"},
      c.train);
  visit(Field{.key = "split_seed", .meaning = "seed of that permutation"}, c.split_seed);
  visit(Field{.key = "side",
              .meaning = "images are averaged down to so many pixels a side: 16, 8 or 4; 0 = 32 as stored",
              .max = 32,
              .unit = "pixels",
              .only_key = "kind",
              .only_values = "cifar10"},
        c.side);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<GroupsConfig> auto& c) {
  visit(Field{.key = "by",
              .meaning =
                  "what makes a group: the items of one class; the lists of a manifest; classes after a share of each "
                  "changed places (noisy); random subsets; the two parts of a class split at random (redundant); "
                  "random parts of classes, each smaller than the one before (unequal)",
              .choices = "class|manifest|noisy|random|redundant|unequal"},
        c.by);
  visit(Field{.key = "manifest",
              .meaning = "CSV file with the header item,group or JSON file {\"group\": [items]}; an item may be in "
                         "several groups",
              .example = "groups.csv",
              .only_key = "by",
              .only_values = "manifest"},
        c.manifest);
  visit(Field{.key = "seed",
              .meaning = "seed of what is drawn",
              .only_key = "by",
              .only_values = "noisy|random|redundant|unequal"},
        c.seed);
  visit(Field{.key = "noise",
              .meaning = "share of each class that goes to other classes, in equal blocks by random derangements; "
                         "group sizes stay",
              .max = 1,
              .open = true,
              .only_key = "by",
              .only_values = "noisy"},
        c.noise);
  visit(Field{.key = "count",
              .meaning = "random subsets",
              .min = 2,
              .max = 100000,
              .unit = "groups",
              .only_key = "by",
              .only_values = "random"},
        c.count);
  visit(Field{.key = "fraction",
              .meaning = "share of the training items in each of them",
              .max = 1,
              .open = true,
              .only_key = "by",
              .only_values = "random"},
        c.fraction);
  visit(Field{.key = "share",
              .meaning = "share of a class in its larger part",
              .min = 0.5,
              .max = 1,
              .open = true,
              .only_key = "by",
              .only_values = "redundant"},
        c.share);
  visit(
      Field{.key = "ratio",
            .meaning = "items of the largest group per item of the smallest; sizes in between are geometric, the first "
                       "class is whole, what is left of the others belongs to no group",
            .min = 1,
            .max = 1e6,
            .open = true,
            .only_key = "by",
            .only_values = "unequal"},
      c.ratio);
}

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
}

template <class Visit>
void describe(Visit& visit, ConfigOf<SamplerConfig> auto& c) {
  visit(Field{.key = "kind",
              .meaning = "sampler: DDIM; ancestral DDPM (small posterior variance); DPM-Solver++ of second order (2M)",
              .choices = "ddim|ddpm|dpmsolver++"},
        c.kind);
  visit(Field{.key = "steps",
              .meaning = "sampling steps, at most diffusion.timesteps",
              .min = 1,
              .max = 100000,
              .unit = "steps"},
        c.steps);
  visit(Field{.key = "eta",
              .meaning = "noise of DDIM: 0 = deterministic, 1 = ancestral",
              .max = 1,
              .only_key = "kind",
              .only_values = "ddim"},
        c.eta);
  visit(Field{.key = "clamp", .meaning = "clamp the predicted image to [-1, 1] at every step"}, c.clamp);
  visit(Field{.key = "grey_levels",
              .meaning = "round samples to this many levels of [-1, 1]; 0 = off",
              .max = 65536,
              .unit = "levels"},
        c.grey_levels);
  visit(Field{.key = "batch", .meaning = "images sampled together", .min = 1, .max = 1000000, .unit = "images"},
        c.batch);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<QuerySetConfig> auto& c) {
  visit(Field{.key = "name",
              .meaning = "name of the set, in tables and in results.h5",
              .name_rule = kSetNameCharacters,
              .name_length = 64,
              .example = "real",
              .by_default = "the kind"},
        c.name);
  visit(Field{.key = "kind",
              .meaning = "images drawn from the full model, held-out real images, or image files",
              .choices = "generated|held_out|images"},
        c.kind);
  visit(Field{.key = "role",
              .meaning = "reported, or tuning: settings are chosen on it, so it is shown apart and is never a result",
              .choices = "reported|tuning"},
        c.role);
  visit(Field{.key = "count",
              .meaning = "images per run seed: exactly this many generated, at most this many held out",
              .min = 1,
              .max = 10000000,
              .unit = "images",
              .only_key = "kind",
              .only_values = "generated|held_out"},
        c.count);
  visit(Field{.key = "first",
              .meaning = "how many held-out items to pass over, so that two sets are disjoint",
              .max = 10000000,
              .unit = "images",
              .only_key = "kind",
              .only_values = "held_out"},
        c.first);
  visit(Field{.key = "sampler",
              .meaning = "how images are drawn from the full model",
              .only_key = "kind",
              .only_values = "generated"},
        c.sampler);
  visit(Field{.key = "images",
              .meaning = "PNG files of the data set's shape",
              .example = "[mine.png, yours.png]",
              .only_key = "kind",
              .only_values = "images"},
        c.images);
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

template <class Visit>
void describe(Visit& visit, ConfigOf<UnlearnConfig> auto& c) {
  constexpr std::string_view kForgetting =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|ifu|esd|erasediff|siss|mucs|fisher";
  constexpr std::string_view kInLoop =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|ifu|esd|erasediff|siss|mucs";
  constexpr std::string_view kByGradient =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|finetune_retain|ifu|esd|erasediff|siss|mucs";
  constexpr std::string_view kWeighted =
      "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|esd|erasediff|mucs";
  constexpr std::string_view kWithNeighbours = "retrack_exact|retrack_clipped|retrack_minsnr";
  visit(Field{.key = "op",
              .meaning = "unlearning operator (docs/methods.md)",
              .choices =
                  "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|finetune_retain|ifu|esd|erasediff|"
                  "siss|mucs|fisher"},
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
              .only_values =
                  "retrack_exact|retrack_clipped|retrack_minsnr|retrack_released|finetune_retain|esd|erasediff|mucs"},
        c.preserve);
  visit(Field{.key = "rho",
              .meaning = "weight of the quadratic term on forget images; 0 = unbounded below",
              .max = 1e6,
              .only_key = "op",
              .only_values = "ifu"},
        c.rho);
  visit(Field{.key = "guidance",
              .meaning = "w in the forget target teacher + w (teacher - noise)",
              .max = 1e6,
              .only_key = "op",
              .only_values = "esd"},
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
}

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
  visit(
      Field{.key = "method",
            .meaning = "retraining without each group (the oracle), unlearning, another way to attribute, or a control "
                       "(guda methods lists them)",
            .choices = "logo|guda|trak|dtrak|das|abu|choi|mucs|similarity|random|group_size|pixel_cosine|knn|kde_elbo"},
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
  visit(Field{.key = "gradients",
              .meaning = "how gradients of the full model are taken, projected and summed",
              .younger = true,
              .only_key = "method",
              .only_values = "trak|dtrak|das"},
        c.gradients);
  visit(Field{.key = "ascent",
              .meaning = "how a query is unlearned by the Fisher diagonal",
              .younger = true,
              .only_key = "method",
              .only_values = "abu|choi"},
        c.ascent);
  visit(Field{.key = "mucs",
              .meaning = "how a query is unlearned by clamped ascent",
              .younger = true,
              .only_key = "method",
              .only_values = "mucs"},
        c.mucs);
  visit(Field{.key = "similarity",
              .meaning = "which features are compared, and how",
              .younger = true,
              .only_key = "method",
              .only_values = "similarity"},
        c.similarity);
}

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

template <class Visit>
void describe(Visit& visit, ConfigOf<ResourcesConfig> auto& c) {
  visit(Field{.key = "workers",
              .meaning = "worker processes; 0 = one per GPU, or per CPU core divided by threads",
              .max = 65536},
        c.workers);
  visit(Field{.key = "threads", .meaning = "compute threads per worker; part of the numerics", .min = 1, .max = 1024},
        c.threads);
  visit(Field{.key = "device", .meaning = "where models run", .choices = "cpu|cuda"}, c.device);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<RetentionConfig> auto& c) {
  visit(
      Field{.key = "keep",
            .meaning = "what stays on disk when the run is done; weights = scores, queries, full and LOGO models (guda "
                       "attribute needs models)",
            .choices = "scores|queries+scores|weights|all"},
      c.keep);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<Experiment> auto& c) {
  visit(Field{.key = "name",
              .meaning = "name of the experiment; the run directory is runs/NAME",
              .name_rule = kRunNameCharacters,
              .name_length = 64,
              .example = "digits"},
        c.name);
  visit(Field{.key = "seeds",
              .meaning = "run seeds; each has its own full model, queries and counterfactual models",
              .example = "[0, 1, 2]"},
        c.seeds);
  visit(Field{.key = "dataset", .meaning = "the training data"}, c.dataset);
  visit(Field{.key = "groups", .meaning = "the groups whose contribution is measured"}, c.groups);
  visit(Field{.key = "model", .meaning = "UNet2DModel with the keys of its config.json in diffusers 0.31"}, c.model);
  visit(Field{.key = "diffusion", .meaning = "the forward process"}, c.diffusion);
  visit(Field{.key = "training", .meaning = "of the full model and of every LOGO model"}, c.training);
  visit(Field{.key = "queries", .meaning = "the images to explain: a list of query sets"}, c.queries);
  visit(Field{.key = "scoring", .meaning = "the timesteps and noise draws on which ELBO differences are measured"},
        c.scoring);
  visit(Field{.key = "methods",
              .meaning = "what is computed and compared: a list; a method may appear several times under "
                         "several names"},
        c.methods);
  visit(Field{.key = "comparison", .meaning = "how agreement with the oracle is measured"}, c.comparison);
  visit(Field{.key = "resources", .meaning = "where it runs"}, c.resources);
  visit(Field{.key = "retention", .meaning = "what is kept"}, c.retention);
  visit(
      Field{
          .key = "reuse",
          .meaning =
              "run directories whose models and query sets of equal digest are taken, verified, instead of made again",
          .example = "[runs/digits]",
          .by_default = "none",
          .younger = true},
      c.reuse);
}

}  // namespace guda::jobs

#include "jobs/method_schema.hpp"  // IWYU pragma: export
