#pragma once
// What a person writes down: the experiment file as plain structs. The meaning and the default stand beside each field;
// the schema in jobs/experiment_schema.hpp reads them, docs/config.md is generated from it.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/method_settings.hpp"

namespace guda::jobs {

struct DatasetConfig {
  std::string kind = "digits";        ///< digits | styled_digits | cifar10 | unlearncanvas | image_folder
  std::filesystem::path path;         ///< (styled) digits: empty = the digits shipped with guda; else the data's folder
  std::uint32_t train = 1500;         ///< training items taken from the seeded permutation; the rest is held out
  std::uint64_t split_seed = 0;       ///< seed of that permutation
  std::uint32_t side = 0;             ///< pixels a side; cifar10: 0 = 32, as stored
  bool stretch = false;               ///< pictures: brought to a square by stretching instead of cutting
  std::filesystem::path prompts;      ///< pictures: JSON lines, one for each file
  std::filesystem::path descriptors;  ///< pictures: JSON {"style": [words]}
  std::uint32_t skip_bad = 0;         ///< pictures: at most so many that do not decode are left out
  /// Whether it is read from JPEG and PNG files.
  [[nodiscard]] bool of_pictures() const { return kind == "unlearncanvas" || kind == "image_folder"; }
};

struct GroupsConfig {
  std::string by = "class";        ///< class | key | manifest | noisy | random | redundant | unequal
  std::string key;                 ///< key: of the prompts' lines; an item whose value is a list is in several groups
  std::filesystem::path manifest;  ///< CSV (item,group) or JSON {"group": [items]}; an item may be in several groups
  std::uint64_t seed = 42;         ///< of the forms that draw
  double noise = 0.05;             ///< noisy: share of each class that changes places with other classes
  std::uint32_t count = 10;        ///< random: how many subsets
  double fraction = 0.1;           ///< random: share of the training set in each
  double share = 0.8;              ///< redundant: share of a class in its larger part
  double ratio = 10;               ///< unequal: items of the largest group per item of the smallest
  std::vector<std::string> only;   ///< keeps these groups, in this order; empty: all
};

struct DiffusionConfig {
  std::uint32_t timesteps = 1000;
  std::string schedule = "squaredcos_cap_v2";  ///< linear | scaled_linear | squaredcos_cap_v2
  double beta_start = 1e-4;                    ///< linear and scaled_linear only
  double beta_end = 0.02;
  std::string prediction = "epsilon";  ///< epsilon | v_prediction | sample
  std::string tables = "float64";      ///< float64 | float32 (rounded as diffusers' are)
};

struct OptimizerConfig {  ///< AdamW
  double lr = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-4;
};

/// Which numbers of a model training changes.
struct ParametersConfig {
  std::string kind = "all";  ///< all | attention (projections of every attention layer) | lora (pairs beside them)
  std::uint32_t rank = 8;    ///< lora
  double alpha = 0;          ///< lora: the factor of the product is alpha / rank; 0 = rank
  bool operator==(const ParametersConfig&) const = default;
  [[nodiscard]] bool empty() const { return kind == "all"; }
};

struct TrainingConfig {
  std::uint32_t steps = 600;
  std::uint32_t batch = 64;
  OptimizerConfig optimizer{.lr = 4e-3};
  std::uint32_t warmup_steps = 50;   ///< linear
  std::string decay = "cosine";      ///< cosine (half-cosine to 0 at the last step) | constant
  std::uint32_t horizon = 0;         ///< last step of the decay, if it is not `steps`; 0 = it is
  double clip = 1.0;                 ///< global gradient norm; 0 = off
  double ema_max_decay = 0.995;      ///< decay = min(this, (1+n)/(10+n)); 0 = raw weights are used
  bool stratified_timesteps = true;  ///< one t per stratum of the batch instead of independent draws
  bool horizontal_flip = false;
  ParametersConfig parameters;  ///< of models that start from others' weights
};

/// The class-conditional model that esd_class guides with; empty: there is none.
struct GuideConfig {
  std::vector<std::uint32_t> block_out_channels{};  ///< the rest of its shape is `model`'s (jobs/guide_model.hpp)
  TrainingConfig training;
  double label_dropout = 0.1;  ///< share of training rows whose class is withheld
  [[nodiscard]] bool empty() const noexcept { return block_out_channels.empty(); }
};

/// A frozen CLIP text model with random weights, for experiments that bring none.
struct TextEncoderConfig {
  std::uint32_t hidden_size = 0;  ///< width of the embeddings; 0 = none
  std::uint32_t layers = 2;
  std::uint32_t heads = 4;
  std::uint32_t tokens = 32;  ///< of a text, with start and end
  std::uint64_t seed = 0;
};

/// An AutoencoderKL trained on the training images; empty: the model works on pixels.
struct AutoencoderConfig {
  std::vector<std::uint32_t> block_out_channels{};  ///< a latent pixel is 2^(entries - 1) pixels wide
  std::uint32_t latent_channels = 4;
  std::uint32_t layers_per_block = 1;
  std::uint32_t norm_num_groups = 8;
  double kl_weight = 1e-6;  ///< of the KL divergence, summed over an image's latents, beside the mean squared error
  TrainingConfig training;
  [[nodiscard]] bool empty() const noexcept { return block_out_channels.empty(); }
};

/// What makes an experiment one of text-to-image models; empty: it is not.
struct PipelineConfig {
  std::filesystem::path folder;  ///< a diffusers pipeline; empty: the parts below
  TextEncoderConfig text_encoder;
  AutoencoderConfig autoencoder;
  TrainingConfig base;           ///< of the model that the full one and every LOGO model are fine-tuned from
  double caption_dropout = 0.1;  ///< share of training rows without their caption
  std::filesystem::path lora;    ///< a LoRA that is merged into the folder's unet; empty: none
  [[nodiscard]] bool empty() const noexcept { return folder.empty() && text_encoder.hidden_size == 0; }
};

struct SamplerConfig {
  std::string kind = "ddim";  ///< ddim | ddpm | dpmsolver++
  std::uint32_t steps = 100;
  double guidance = 0;             ///< of a prompt: e_u + guidance (e_c - e_u); 0 = e_c alone, one forward a step
  double eta = 1.0;                ///< ddim only
  bool clamp = true;               ///< clamp the predicted x0 to [-1, 1]
  std::uint32_t grey_levels = 17;  ///< round the sample to this many levels of [-1, 1]; 0 = off
  std::uint32_t batch = 64;
};

struct QuerySetConfig {
  std::string name = "generated";             ///< generated | real | ...
  std::string kind = "generated";             ///< generated (from the full model) | held_out | training | images
  std::string role = "reported";              ///< reported | tuning (settings were chosen on it: never a result)
  std::uint32_t count = 256;                  ///< generated: how many; held_out, training: at most this many
  std::uint32_t first = 0;                    ///< held_out, training: leaves out so many of their items
  SamplerConfig sampler;                      ///< generated only
  std::vector<std::filesystem::path> images;  ///< images only
  std::vector<std::string> prompts{};         ///< text-to-image: of each image; generated: used in turn
  std::filesystem::path prompt_file{};        ///< text-to-image, generated: JSON lines of prompts and their styles
};

/// The queries whose noise decides where adaptive slots are drawn; their own draws are in no score.
struct PilotConfig {
  double share = 0.04;      ///< of the first run seed's queries; at least 4 of them
  std::uint32_t draws = 2;  ///< noise draws of every timestep
  bool operator==(const PilotConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == PilotConfig{}; }
};

struct ScoringConfig {
  std::uint32_t first_timestep = 10;
  std::uint32_t last_timestep = 990;
  std::uint32_t stride = 20;
  std::uint32_t draws = 1;          ///< independent noise draws per timestep within each draw set
  std::uint32_t block = 1024;       ///< queries per Score job
  std::uint32_t batch = 256;        ///< rows (query, slot) per forward; part of the numerics
  std::string allocation = "grid";  ///< grid (every timestep) | weight | adaptive: how slots are drawn from the grid
  std::uint32_t slots = 0;          ///< weight, adaptive: how many within each draw set
  bool antithetic = false;          ///< every draw twice, as +eps and -eps; the pair counts as one draw
  PilotConfig pilot;                ///< adaptive
  std::string until = "all";        ///< all (every slot) | top1 | top3 | ranking: what a race decides (jobs/race.hpp)
  double confidence = 0.95;         ///< of a race, that none of a query's decisions is wrong
  std::uint32_t unit = 2;           ///< slots of a unit of a race (pairs count as one)
};

/// What the full model is asked in place of a forget image's caption (GUDA-C; methods.md 2.4).
struct AnchorConfig {
  std::string mode = "weighted_style_select";  ///< weighted_style_select | uniform | style_removed | matched_retain
  double beta = 2;                             ///< weighted_style_select: inverse temperature of the cosines
  double eta = 0.3;                            ///< weighted_style_select: share of the uniform distribution
  std::uint32_t descriptors = 3;               ///< of the other style, in its caption
  bool operator==(const AnchorConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == AnchorConfig{}; }
};

struct UnlearnConfig {
  std::string op = "retrack_exact";  ///< a row of worker/unlearn kOperators
  std::uint32_t steps = 100;
  std::uint32_t retain_batch = 32;
  std::uint32_t forget_batch = 32;
  OptimizerConfig optimizer{.lr = 1e-3};
  std::uint32_t warmup_steps = 5;
  std::string decay = "cosine";
  std::uint32_t horizon = 0;  ///< as training's
  double clip = 1.0;
  double forget_weight = 0.1;               ///< lambda in MSE_retain + lambda MSE_forget
  std::string forget_scaling = "constant";  ///< constant | proportional (lambda * n_k/n_r * groups)
  double strength = 1.0;                    ///< factor of the weights that ifu, siss and fisher derive from n_k/n_r
  bool horizontal_flip = false;             ///< mirror half of the images; neighbours are sought in both orientations
  std::uint32_t neighbours = 10;            ///< K of retrack_*; 0 = all retain items
  double kl_cap = 1.0;                      ///< retrack_clipped: correction norm <= sqrt(2 kl_cap)
  double minsnr_gamma = 5.0;                ///< retrack_minsnr: weight min(SNR, gamma)/SNR
  std::string preserve = "standard";        ///< standard (denoising) | distillation (to the full model)
  double rho = 1.0;                         ///< ifu: quadratic term on forget images
  double guidance = 7.5;                    ///< esd: w in teacher + w (teacher - noise); esd_class: e_u + w (e_u - e_c)
  double gradient_cap = 0.1;     ///< siss: largest forget gradient norm, in norms of the retain gradient; 0 = off
  double damping = 0.1;          ///< fisher: added to the diagonal, in units of its mean
  double guard_temperature = 0;  ///< GUARD weights of forget images; 0 = off, all weigh 1
  AnchorConfig anchor;           ///< guda_c
  ParametersConfig parameters;
};

struct MethodConfig {
  std::string name;             ///< unique; letters, digits, '_'; names results.h5 data sets
  std::string method;           ///< a row of jobs/methods kMethods
  std::uint64_t seed = 0;       ///< logo: 0 = the run's streams; others = another retraining; random: its draw
  UnlearnConfig unlearn;        ///< guda only
  std::uint32_t k = 5;          ///< knn only
  GradientConfig gradients;     ///< trak, dtrak, das
  AscentConfig ascent;          ///< abu, choi
  MucsConfig mucs;              ///< mucs
  SimilarityConfig similarity;  ///< similarity

  /// Training items that the method keeps for every query; 0: it keeps none, or answers for groups only.
  [[nodiscard]] std::uint32_t kept_instances() const {
    if (method == "similarity") return similarity.keep_instances;
    if (method == "mucs") return mucs.keep_instances;
    return method == "abu" || method == "choi" ? ascent.keep_instances : gradients.keep_instances;
  }
};

struct WeightingConfig {
  std::string name = "elbo";
  std::string kind = "elbo";               ///< elbo | flat | min_snr | custom
  std::uint32_t t_min = 0;                 ///< inclusive
  std::uint32_t t_max = 4294967295U;       ///< exclusive
  double gamma = 5.0;                      ///< min_snr: weight min(SNR, gamma)/SNR
  std::vector<std::uint32_t> timesteps{};  ///< custom: ascending; weights between them are interpolated linearly
  std::vector<double> weights{};           ///< custom: one per timestep; constant beyond both ends
};

struct ComparisonConfig {
  std::string reference = "logo";           ///< name of the oracle
  std::string second_reference;             ///< name of another LOGO seed: gives the ceiling; empty = none
  std::vector<WeightingConfig> weightings;  ///< default: elbo, and mid = elbo weights with 10 % <= t < 90 % of T
  std::uint32_t bootstrap = 1000;
  double confidence = 0.95;
  std::uint64_t seed = 0;
};

/// Models trained without several groups at once (jobs/evaluation.hpp).
struct SubsetsConfig {
  std::uint32_t count = 0;  ///< per run seed; 0 = none
  double share = 0.5;       ///< of the groups that each goes without
  std::uint64_t seed = 0;
  bool operator==(const SubsetsConfig&) const = default;
};

/// Models retrained without the training items of largest score, and the queries drawn again from them.
struct RemovalConfig {
  std::uint32_t items = 0;        ///< per query; 0 = none
  std::uint32_t queries = 16;     ///< the first so many of the first generated set
  std::filesystem::path encoder;  ///< CLIP folder in whose features the change is measured too; empty: none
  bool operator==(const RemovalConfig&) const = default;
};

struct EvaluationConfig {
  SubsetsConfig subsets;
  RemovalConfig removal;
  bool operator==(const EvaluationConfig&) const = default;
  [[nodiscard]] bool empty() const { return *this == EvaluationConfig{}; }
};

struct ResourcesConfig {
  std::uint32_t workers = 0;      ///< 0 = one per GPU, or per CPU core divided by threads
  std::uint32_t threads = 1;      ///< compute threads per worker; part of the numerics
  std::string device = "cpu";     ///< cpu | cuda
  std::string precision;          ///< float32 | tf32 | bfloat16; empty: float32 on a CPU, tf32 on a GPU
  bool deterministic = false;     ///< on a GPU: the same bits in every run
  std::uint32_t micro_batch = 0;  ///< rows of a training or unlearning step that are computed at once; 0: all
  std::uint32_t gang = 1;  ///< workers of one node that train one model together; part of the digest of Train jobs
  std::uint32_t workers_per_device = 1;  ///< cuda: workers that share one GPU
  std::string node_cache;                ///< "" (common/node_cache.hpp decides) | off | a folder on every node
  double node_cache_gb = 0;              ///< its largest size in 1e9 bytes; 0: decided there
  double model_memory_gb = 0;            ///< of models that a worker keeps loaded, in 1e9 bytes; 0: decided there
  bool gradient_checkpointing = false;   ///< layers' activations are computed again on the way back: the same bits
};

struct RetentionConfig {
  std::string keep = "weights";  ///< scores | queries+scores | weights | all
};

struct Experiment {
  std::string name = "experiment";
  std::vector<std::uint64_t> seeds{0};  ///< run seeds: each has its own full model, queries and counterfactuals
  DatasetConfig dataset;
  GroupsConfig groups;
  Json model = Json::object();  ///< UNet2DModel config with diffusers' keys
  DiffusionConfig diffusion;
  TrainingConfig training;
  GuideConfig guide;
  PipelineConfig pipeline;
  std::vector<QuerySetConfig> queries;
  ScoringConfig scoring;
  std::vector<MethodConfig> methods;
  ComparisonConfig comparison;
  EvaluationConfig evaluation;
  ResourcesConfig resources;
  RetentionConfig retention;
  std::vector<std::filesystem::path> reuse;  ///< run directories whose artifacts of equal digest are taken
};

}  // namespace guda::jobs
