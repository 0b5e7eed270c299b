// What people get wrong, and what they are told. Each row breaks one thing in a good file.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>

#include "common/config/issues.hpp"
#include "jobs/experiment_file.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

/// A good file; `{}` of a row replaces whole sections by key.
const char* const kModel =
    "model: {in_channels: 1, out_channels: 1, sample_size: 8, block_out_channels: [16, 32], norm_num_groups: 8, "
    "add_attention: false,\n"
    "        down_block_types: [DownBlock2D, DownBlock2D], up_block_types: [UpBlock2D, UpBlock2D]}\n";
const char* const kQueries = "queries: [{kind: generated}]\n";
const char* const kMethods = "methods: [{method: logo}, {method: random}]\n";

std::string whole(const std::string& part) {
  const auto has = [&](const char* key) {
    return part.starts_with(key) || part.find(std::string("\n") + key) != std::string::npos;
  };
  std::string text = part + "\n";
  if (!has("model:")) text += kModel;
  if (!has("queries:")) text += kQueries;
  if (!has("methods:")) text += kMethods;
  return text;
}

std::string message_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    (void)read_experiment(yaml, "exp.yaml", overrides);
  } catch (const config::ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

struct Bad {
  const char* yaml;     ///< completed with what it leaves out
  const char* message;  ///< must be contained in the report
};

const Bad kBad[] = {
    // keys
    {"trainin: {steps: 5}", "exp.yaml:1:1: trainin: is not a known key; did you mean 'training'?"},
    {"training:\n  stpes: 5", "exp.yaml:2:3: training.stpes: is not a known key; did you mean 'steps'?"},
    {"training: {lr: 1e-3}", "exp.yaml:1:12: training.lr: is not a known key; did you mean 'optimizer.lr'?"},
    {"training: {mixed_precision: bf16}",
     "exp.yaml:1:12: training.mixed_precision: is not a known key: the precision of products on a GPU is "
     "resources.precision"},
    {"resources: {precision: bfloat16}",
     "exp.yaml:1:24: resources.precision: bfloat16 is for GPUs; a CPU computes in float32"},
    {"resources: {deterministic: true}",
     "exp.yaml:1:28: resources.deterministic: has no effect with device: cpu; it goes with cuda"},
    {"training:\n  steps: 5\n  steps: 6", "exp.yaml:3:3: training.steps: is given twice; the first is in line 2"},
    {"methods:\n- {method: logo, seed: 1, seed: 2}\n- method: random", "exp.yaml:2:27: methods.0.seed: is given twice"},
    {"zzzzzzz: 1", "exp.yaml:1:1: zzzzzzz: is not a known key (there are name, seeds, dataset,"},
    {"<<: {a: 1}", "merge keys (<<) are not supported"},
    {"? [a, b]\n: 1", "a key must be text"},
    // text to image
    {"pipeline: {caption_dropout: 0.2}", "pipeline: wants the `folder` of a diffusers pipeline, or a `text_encoder`"},
    {"pipeline: {text_encoder: {hidden_size: 32}}", "dataset.kind: digits have no captions"},
    {"pipeline: {text_encoder: {hidden_size: 30}}",
     "pipeline.text_encoder.heads: 4 heads can't share a hidden_size of 30"},
    {"pipeline: {text_encoder: {hidden_size: 32}}", "model: wants `_class_name: UNet2DConditionModel`"},
    {"training: {parameters: {kind: lora}}",
     "training.parameters.kind: without a `pipeline` models are trained from random weights, which wants all of them"},
    {"methods: [{method: logo}, {method: guda, unlearn: {parameters: {kind: lora}}}]",
     "unlearn.parameters.kind: LoRA is for text-to-image models: add a `pipeline`, or choose attention"},
    {"methods: [{method: logo}, {method: guda, unlearn: {parameters: {kind: attention}}}]",
     "unlearn.parameters.kind: the model has no attention to train: leave it out"},
    {"pipeline: {text_encoder: {hidden_size: 32}, base: {parameters: {kind: attention}}}",
     "pipeline.base.parameters.kind: this model starts from random weights"},
    {"training: {parameters: {kind: lora, rank: 0}}", "training.parameters.rank: 0 is out of range"},
    {"training: {parameters: {kind: qlora}}", "training.parameters.kind: "},
    {"training: {parameters: {rank: 4}}", "training.parameters.rank: "},
    {"pipeline: {text_encoder: {hidden_size: 32}, lora: /nowhere.safetensors}",
     "pipeline.lora: is merged into the unet of pipeline.folder, and there is none"},
    {"pipeline: {folder: /nowhere, lora: /nowhere.safetensors}",
     "pipeline.lora: there is no file /nowhere.safetensors"},
    {"pipeline: {folder: /nowhere, base: {steps: 5}}", "pipeline.base: has no effect with pipeline.folder"},
    {"model: {_class_name: UNet2DConditionModel, block_out_channels: [16, 32], norm_num_groups: 8, in_channels: 1, "
     "out_channels: 1,\n  down_block_types: [DownBlock2D, CrossAttnDownBlock2D], up_block_types: [CrossAttnUpBlock2D, "
     "UpBlock2D]}",
     "model._class_name: a UNet2DConditionModel is told a text: add a `pipeline`"},
    {"model: {_class_name: UNet2DConditionModel, add_attention: true}",
     "model.add_attention: is not a key of UNet2DConditionModel"},
    {"queries: [{kind: generated, sampler: {guidance: 3}}]", "sampler.guidance: there is no prompt to guide by"},
    {"queries: [{kind: generated, prompts: [A picture]}]", "prompts: have no effect without a `pipeline`"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: guda_c}}]",
     "unlearn.op: guda_c asks a text-to-image model"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: ifu, anchor: {beta: 3}}}]",
     "unlearn.anchor: has no effect with op: ifu"},
    {"methods: [{method: logo}, {method: abu, ascent: {weights: cross_attention}}]",
     "methods.abu.ascent.weights: a model without a `pipeline` has no cross-attention"},
    {"pipeline: {text_encoder: {hidden_size: 32}, caption_dropout: 0}\nmethods: [{method: logo}, {method: guda, "
     "unlearn: "
     "{op: esd_class}}]",
     "unlearn.op: esd_class asks the full model without a caption, which it does not learn with "
     "pipeline.caption_dropout: 0"},
    {"pipeline: {text_encoder: {hidden_size: 32}}\nguide: {block_out_channels: [8]}\nmethods: [{method: logo}, "
     "{method: "
     "guda, unlearn: {op: esd_class}}]",
     "guide: has no effect with a pipeline"},
    {"pipeline: {text_encoder: {hidden_size: 32}, autoencoder: {block_out_channels: [16, 32]}}",
     "queries.generated.sampler.clamp: latents have no bounds to clamp to: choose false"},
    {"pipeline: {text_encoder: {hidden_size: 32}, autoencoder: {block_out_channels: [12]}}",
     "pipeline.autoencoder.block_out_channels: 12 is not a multiple of norm_num_groups, 8"},
    {"evaluation: {removal: {items: 5}}", "evaluation.removal.items: no method keeps instances"},
    {"evaluation: {removal: {items: 5, queries: 300}}", "removal.queries: 300 are more than the 256 of 'generated'"},
    {"evaluation: {removal: {items: 200}}", "200 for each of 16 queries may be all 1500 training items; lower it"},
    {"evaluation: {removal: {items: 5}}\nqueries: [{kind: held_out}]", "wants a query set with kind: generated"},
    {"evaluation: {removal: {items: 5}}\nmethods: [{method: logo}, {method: trak, gradients: {keep_instances: 4}}]",
     "methods.trak.gradients.keep_instances: 4 is less than evaluation.removal.items, 5"},
    {"evaluation: {subsets: {count: 5, share: 1}}", "evaluation.subsets.share"},
    {"queries: [{kind: generated, name: preview}]", "'preview' is the name of pictures that guda draws itself"},
    {"guide: {block_out_channels: [8]}\nmethods: [{method: logo}, {method: random}]",
     "guide: has no effect: no method has unlearn.op esd_class"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: esd_class}}]",
     "guide.block_out_channels: is missing: esd_class guides with a class-conditional model"},
    {"model: {block_out_channels: [32, 64], down_block_types: [DownBlock2D, DownBlock2D], up_block_types: [UpBlock2D, "
     "UpBlock2D]}\nguide: {block_out_channels: [32, 48, 64]}\nmethods: [{method: logo}, {method: guda, unlearn: {op: "
     "esd_class}}]",
     "guide.block_out_channels: has 3 entries, but the model has 2 blocks"},
    // numbers
    {"training: {steps: 010}", "exp.yaml:1:19: training.steps: '010' starts with 0, which some readers take for octal"},
    {"training: {steps: 1e3}", "training.steps: wants an integer of 0 or more: write 1000 instead of 1e3"},
    {"training: {steps: 600.0}", "training.steps: wants an integer of 0 or more: write 600 instead of 600.0"},
    {"training: {steps: 0x10}", "training.steps: wants an integer of 0 or more, not '0x10'"},
    {"training: {steps: '600'}", "training.steps: wants an integer of 0 or more, not text: take 600 out of its quotes"},
    {"training: {steps: -5}", "training.steps: wants an integer of 0 or more, not '-5'"},
    {"training: {steps: many}", "training.steps: wants an integer of 0 or more, not 'many'"},
    {"training: {steps: }", "training.steps: has no value; it wants an integer of 0 or more"},
    {"training: {steps: [5]}", "training.steps: wants an integer of 0 or more, not a list"},
    {"training: {steps: 0}", "training.steps: 0 is out of range: it must be 1 to 100000000"},
    {"training: {steps: 99999999999999999999}", "training.steps: '99999999999999999999' is too large"},
    {"dataset: {train: 5000000000}", "dataset.train: 5000000000 is out of range: it must be at most 4294967295"},
    {"training: {optimizer: {lr: 0}}",
     "training.optimizer.lr: 0 is out of range: it must be more than 0 and less than 10"},
    {"training: {optimizer: {lr: .inf}}", "training.optimizer.lr: wants a finite decimal number, not '.inf'"},
    {"training: {optimizer: {lr: nan}}", "training.optimizer.lr: wants a finite decimal number, not 'nan'"},
    {"training: {optimizer: {lr: 1,5}}", "training.optimizer"},
    {"training: {horizontal_flip: yes}", "training.horizontal_flip: wants true or false, not 'yes'"},
    {"training: {horizontal_flip: 1}", "training.horizontal_flip: wants true or false, not '1'"},
    // choices and shapes
    {"training: {decay: cosinus}", "training.decay: 'cosinus' is not cosine or constant; did you mean 'cosine'?"},
    {"diffusion: {schedule: linaer}",
     "'linaer' is not linear, scaled_linear or squaredcos_cap_v2; did you mean 'linear'?"},
    {"training: 600", "exp.yaml:1:11: training: wants a mapping with the keys steps, batch, optimizer"},
    {"seeds: 0", "exp.yaml:1:8: seeds: wants a list, not a single value: for example [0, 1, 2]"},
    {"queries: {generated: {count: 3}}", "queries: wants a list, not a mapping: start each entry with '- '"},
    {"name: a/b", "exp.yaml:1:7: name: 'a/b' is not a name: a letter or digit, then up to 63 of A-Za-z0-9_. -"},
    {"name: ../up", "name: '../up' is not a name"},
    {"name: \"a\\u0007b\"", "exp.yaml:1:7: text holds the control character U+0007"},
    // seeds and data
    {"seeds: []", "seeds: wants at least one run seed, for example [0]"},
    {"seeds: [0, 1, 0]", "seeds: 0 is given twice"},
    {"dataset: {path: no/such/folder}", "dataset.path: there is no /"},
    {"dataset: {train: 1797}", "dataset.train: 1797 of the 1797 digits leave none to hold out; use 1500"},
    {"dataset: {kind: mnist}",
     "dataset.kind: 'mnist' is not digits, styled_digits, cifar10, unlearncanvas or image_folder"},
    // pictures
    {"dataset: {kind: unlearncanvas, side: 16}", "dataset.path: wants the folder of the pictures"},
    {"dataset: {kind: unlearncanvas, path: no/such, side: 16}",
     "--set dataset.path=FOLDER names the folder of the pictures"},
    {"dataset: {kind: unlearncanvas, path: /, descriptors: none.json}", "dataset.side: wants the pixels of a side"},
    {"dataset: {kind: unlearncanvas, path: /, side: 16, descriptors: none.json}",
     "dataset.descriptors: there is no file /"},
    {"dataset: {kind: unlearncanvas, path: /, side: 16}", "dataset.prompts: wants the captions as JSON lines, or"},
    {"dataset: {kind: image_folder, path: /, side: 16, train: 1}",
     "dataset.train: 1 is out of range: it must be at least 2, or 0 for all"},
    {"dataset: {kind: image_folder, path: /, side: 16}", "dataset.prompts: wants a file of JSON lines"},
    {"dataset: {skip_bad: 3}",
     "dataset.skip_bad: has no effect with kind: digits; it goes with unlearncanvas or image_folder"},
    {"dataset: {kind: image_folder, path: /, side: 512}\nmethods: [{method: logo}, {method: similarity}]",
     "methods.similarity.method: similarity compares the pixels of all pictures at once: 512 a side are too many"},
    {"dataset: {kind: image_folder, path: /, side: 16}\npipeline: {text_encoder: {hidden_size: 32}, base: {steps: 5}}",
     "pipeline.base: has no effect: pictures have no version without a style"},
    {"dataset: {train: 0}", "dataset.train: 0 is out of range: it must be at least 2"},
    {"groups: {by: key}", "groups.key: wants a key of the prompts' lines, because groups.by is key"},
    {"groups: {by: key, key: artist}", "groups.by: digits have no keys; pictures with prompts have"},
    {"groups: {key: artist}", "groups.key: has no effect with by: class; it goes with key"},
    {"queries: [{kind: generated, prompt_file: p.jsonl}]", "prompt_file: has no effect without a `pipeline`"},
    {"pipeline: {text_encoder: {hidden_size: 32}}\nqueries: [{kind: generated, prompt_file: p.jsonl, prompts: [a]}]",
     "queries.generated.prompt_file: has no effect beside `prompts`"},
    {"pipeline: {text_encoder: {hidden_size: 32}}\nqueries: [{kind: generated, prompt_file: p.jsonl}]",
     "queries.generated.prompt_file: there is no file /"},
    {"dataset: {kind: styled_digits, train: 14376}",
     "dataset.train: 14376 of the 14376 digits leave none to hold out; use 12000"},
    {"dataset: {kind: styled_digits}",
     "dataset.train: 1500 is no multiple of 8: an image is in the training set in all"},
    {"dataset: {kind: styled_digits, train: 12000}\nmodel: {in_channels: 1, out_channels: 1, sample_size: 8}",
     "model.sample_size: is 8, but digits are 16 x 16"},
    {"groups: {by: manifest}", "groups.manifest: wants a CSV or JSON file, because groups.by is manifest"},
    {"groups: {by: manifest, manifest: none.csv}", "groups.manifest: there is no file /"},
    {"groups: {manifest: g.csv}", "groups.manifest: has no effect with by: class; it goes with manifest"},
    // model
    {"model: {}", "model: wants the model: a mapping with the keys of a UNet2DModel's config.json"},
    {"model: [1]", "model: wants a mapping with the keys of a UNet2DModel's config.json, not a list"},
    {"model: {in_channel: 1}",
     "exp.yaml:1:9: model.in_channel: is not a key of UNet2DModel; did you mean 'in_channels'?"},
    {"model: {in_channels: 3, out_channels: 3}", "model.in_channels: is 3, but digits have 1 channel"},
    {"model: {out_channels: 1}", "model.out_channels: must equal in_channels"},
    {"model: {in_channels: 1, out_channels: 1, sample_size: 32}", "model.sample_size: is 32, but digits are 8 x 8"},
    {"model: {in_channels: 1, out_channels: 1, dropout: high}",
     "model.dropout: wants a finite decimal number, not 'high'"},
    {"model: {down_block_types: [DownBlock2D, AtnDownBlock2D]}",
     "model.down_block_types: entry 2: 'AtnDownBlock2D' is not DownBlock2D or AttnDownBlock2D; did you mean "
     "'AttnDownBlock2D'?"},
    {"model: {down_block_types: [DownBlock2D], block_out_channels: [32, 64], up_block_types: [UpBlock2D, UpBlock2D]}",
     "model.down_block_types: has 1 entries, but block_out_channels has 2"},
    {"model: {block_out_channels: [16, 20, 32, 64], norm_num_groups: 8}",
     "model.block_out_channels: 20 is not a multiple of norm_num_groups, 8"},
    {"model: {block_out_channels: [16, 32, 64, 20], norm_num_groups: 4}",
     "model.attention_head_dim: 20 channels with attention are not a multiple of 8"},
    {"model: {add_attention: 0}", "model.add_attention: wants true or false, not '0'"},
    // diffusion and training
    {"diffusion: {beta_start: 0.001}",
     "diffusion.beta_start: has no effect with schedule: squaredcos_cap_v2; it goes with linear or scaled_linear"},
    {"diffusion: {schedule: linear, beta_start: 0.03}", "diffusion.beta_end: 0.02 must be more than beta_start, 0.03"},
    {"training: {steps: 10}", "training.warmup_steps: 50 (the default) is more than training.steps, 10"},
    {"training: {batch: 2000}", "training.batch: 2000 is more than the 1500 training items"},
    // queries
    {"queries: []", "queries: wants at least one query set"},
    {"queries: [{kind: generated}, {kind: generated}]", "queries.1.name: 'generated' is already the name of entry 1"},
    {"queries: [{kind: generated, name: a-b}]",
     "name: 'a-b' is not a name: a letter or digit, then up to 63 of A-Za-z0-9_"},
    {"queries: [{kind: generated, count: 0}]", "queries.generated.count: 0 is out of range: it must be 1 to 10000000"},
    {"queries: [{kind: images}]", "queries.images.images: wants a list of PNG files, because the kind is images"},
    {"queries: [{kind: images, images: [none.png]}]", "queries.images.images.0: there is no file /"},
    {"queries: [{kind: held_out, sampler: {steps: 5}}]",
     "queries.held_out.sampler: has no effect with kind: held_out; it goes with generated"},
    {"queries: [{kind: generated, sampler: {steps: 1001}}]",
     "queries.generated.sampler.steps: 1001 is more than diffusion.timesteps, 1000"},
    // scoring
    {"scoring: {first_timestep: 0}", "scoring.first_timestep: 0 is out of range: it must be 1 to 100000"},
    {"scoring: {last_timestep: 1000}", "scoring.last_timestep: 1000 must be less than diffusion.timesteps, 1000"},
    {"diffusion: {timesteps: 100}\nscoring: {stride: 5}",
     "scoring.last_timestep: 990 (the default) must be less than diffusion.timesteps, 100"},
    {"scoring: {first_timestep: 500, last_timestep: 100}",
     "scoring.first_timestep: 500 is more than last_timestep, 100"},
    {"scoring: {stride: 0}", "scoring.stride: 0 is out of range"},
    {"scoring: {stride: 1, draws: 10000}", "scoring.draws: gives 9810000 slots, more than 1000000"},
    {"scoring: {slots: 50}", "scoring.slots: has no effect with allocation: grid; it goes with weight or adaptive"},
    {"scoring: {allocation: weight}", "scoring.slots: is missing: allocation: weight wants to know how many"},
    {"scoring: {allocation: weight, slots: 51}",
     "scoring.slots: 51 is odd; two are drawn from every stratum: choose 52"},
    {"scoring: {allocation: weight, slots: 50, pilot: {draws: 3}}",
     "scoring.pilot: has no effect with allocation: weight; it goes with adaptive"},
    {"scoring: {allocation: adaptive, slots: 50, draws: 4}",
     "scoring.draws: has no effect with allocation: adaptive; `slots` says how many are drawn"},
    {"scoring: {allocation: adaptive, slots: 50, pilot: {draws: 1}}", "scoring.pilot.draws: 1 is out of range"},
    {"scoring: {until: first}", "scoring.until: 'first' is not all, top1, top3 or ranking"},
    {"scoring: {until: top1}", "scoring.until: top1 wants slots that are drawn: allocation: adaptive (or weight)"},
    {"scoring: {confidence: 0.9}", "scoring.confidence: has no effect with until: all; it goes with top1, top3 or"},
    {"scoring: {allocation: weight, slots: 50, until: top3, confidence: 1}", "scoring.confidence: 1 is out of range"},
    {"scoring: {allocation: weight, slots: 14, until: top1}",
     "scoring.slots: 14 is no multiple of `unit`, 2, or less than 8 units: choose 16"},
    {"scoring: {allocation: weight, slots: 50, until: top1, unit: 4}",
     "scoring.slots: 50 is no multiple of `unit`, 4, or less than 8 units: choose 52"},
    // methods
    {"methods: [{method: logo}]", "methods: wants at least two methods"},
    {"methods: [{method: logo}, {method: logo}]",
     "methods.1.name: 'logo' is already the name of entry 1; give this one its own `name`"},
    {"methods: [{method: logo}, {method: goda}]",
     "'goda' is not logo, guda, trak, dtrak, das, abu, choi, mucs, similarity, random, group_size, "
     "pixel_cosine, knn or kde_elbo; did you mean 'guda'?"},
    {"methods: [{method: logo}, {name: x}]",
     "methods.x.method: wants the method (guda methods lists them), for example logo"},
    {"methods: [{method: logo}, {method: random, name: full}]",
     "methods.full.name: 'full' is the name of the full model"},
    {"methods: [{method: logo}, {method: random, name: 7up}]",
     "name: '7up' is not a name: a letter, then up to 47 of A-Za-z0-9_"},
    {"methods: [{method: logo, unlearn: {steps: 5}}, {method: random}]",
     "methods.logo.unlearn: has no effect with method: logo; it goes with guda"},
    {"methods: [{method: logo, k: 5}, {method: random}]",
     "methods.logo.k: has no effect with method: logo; it goes with knn"},
    {"methods: [{method: logo}, {method: knn, seed: 5}]",
     "methods.knn.seed: has no effect with method: knn; it goes with logo or random"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: retrack}}]",
     "unlearn.op: 'retrack' is not retrack_exact, retrack_clipped"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: ifu, kl_cap: 2}}]",
     "methods.ifu.unlearn.kl_cap: has no effect with op: ifu; it goes with retrack_clipped"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: finetune_retain, forget_batch: 2}}]",
     "forget_batch: has no effect with op: finetune_retain"},
    {"methods: [{method: logo}, {method: guda, unlearn: {steps: 3}}]",
     "methods.retrack_exact.unlearn.warmup_steps: 5 (the default) is more than unlearn.steps, 3"},
    {"methods: [{method: logo}, {method: guda, unlearn: {retain_batch: 5000}}]",
     "unlearn.retain_batch: 5000 is more than the 1500 training items"},
    {"methods: [logo, random]",
     "methods.0: wants a mapping with the keys name, method, seed, unlearn, k, gradients, ascent, mucs or "
     "similarity, not a single value"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: retrack_released, neighbours: 2}}]",
     "neighbours: has no effect with op: retrack_released"},
    // comparison
    {"comparison: {reference: log}",
     "comparison.reference: 'log' names no method of the list; did you mean 'logo'? (logo methods: there are logo)"},
    {"comparison: {reference: random}",
     "comparison.reference: 'random' is method random, but only retraining (method: logo) is an oracle: there are "
     "logo"},
    {"methods: [{method: knn}, {method: random}]",
     "comparison.reference: 'logo' (the default) names no method of the list"},
    {"comparison: {second_reference: logo}", "comparison.second_reference: is the reference itself"},
    {"methods: [{method: logo}, {method: logo, name: b}]\ncomparison: {second_reference: b}",
     "second_reference: 'logo' and 'b' have the same seed, 0"},
    {"comparison: {confidence: 95}",
     "comparison.confidence: 95 is out of range: it must be more than 0 and less than 1"},
    {"comparison: {weightings: [{kind: elbo}, {kind: elbo}]}",
     "comparison.weightings.1.name: 'elbo' is already the name of entry 1"},
    {"comparison: {weightings: [{kind: flat, t_min: 500, t_max: 400}]}",
     "comparison.weightings.flat.t_max: 400 must be more than t_min, 500"},
    {"comparison: {weightings: [{kind: flat, t_min: 11, t_max: 30}]}",
     "comparison.weightings.flat.t_min: no scored timestep is in [11, 30)"},
    {"comparison: {weightings: [{kind: flat, t_max: 5000}]}",
     "comparison.weightings.flat.t_max: 5000 is more than diffusion.timesteps, 1000"},
    {"comparison: {weightings: [{kind: custom}]}",
     "comparison.weightings.custom.timesteps: wants at least one timestep"},
    {"comparison: {weightings: [{kind: custom, timesteps: [10, 20], weights: [1.0]}]}",
     "comparison.weightings.custom.weights: has 1 numbers for 2 timesteps"},
    {"comparison: {weightings: [{kind: custom, timesteps: [20, 10], weights: [1.0, 0]}]}",
     "must ascend, but 20 is followed by 10"},
    {"comparison: {weightings: [{kind: custom, timesteps: [20], weights: [0]}]}", "weights: are all 0"},
    {"comparison: {weightings: [{kind: elbo, gamma: 2}]}",
     "comparison.weightings.elbo.gamma: has no effect with kind: elbo; it goes with min_snr"},
    // CIFAR-10, drawn groups, roles, samplers, operators
    {"dataset: {kind: cifar10}", "dataset.path: wants the folder of data_batch_*.bin"},
    {"dataset: {kind: cifar10, path: /nowhere}", "there is no /nowhere: unpack the binary version of CIFAR-10 there"},
    {"dataset: {kind: cifar10, path: /, side: 12}", "dataset.side: 12 does not divide the 32 pixels of a side"},
    {"dataset: {kind: cifar10, path: /}", "model.in_channels: is 1, but CIFAR-10 images have 3 channels"},
    {"dataset: {kind: cifar10, path: /, side: 16}", "model.sample_size: is 8, but CIFAR-10 images are 16 x 16"},
    {"dataset: {side: 16}", "dataset.side: has no effect with kind: digits; it goes with cifar10"},
    {"groups: {by: random, share: 0.7}", "groups.share: has no effect with by: random; it goes with redundant"},
    {"groups: {by: redundant, share: 0.3}", "groups.share: 0.3 is out of range"},
    {"queries: [{kind: held_out, role: tuning}]", "queries: has tuning sets only"},
    {"queries: [{name: a, kind: images, images: [/proc/version]}, {name: b, kind: images, role: tuning, images: "
     "[/proc/version]}]",
     "queries.b.images.0: is also an image of 'a', but one of the two sets is for tuning"},
    {"queries: [{name: a, kind: held_out, count: 100}, {name: b, kind: held_out, role: tuning, first: 99, count: 50}]",
     "queries.b.first: held-out items 99..148 overlap those of 'a', 0..99, but one set is for tuning"},
    {"queries: [{kind: generated, sampler: {kind: ddpm, eta: 0.5}}]",
     "queries.generated.sampler.eta: has no effect with kind: ddpm; it goes with ddim"},
    {"queries: [{kind: generated, sampler: {kind: dpmsolver++, steps: 1000}}]",
     "DPM-Solver++ takes fewer steps than diffusion.timesteps"},
    {"training: {steps: 600, horizon: 500}", "training.horizon: 500 is before the last of 600 steps"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: fisher, clip: 2}}]",
     "unlearn.clip: has no effect with op: fisher"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: siss, forget_weight: 2}}]",
     "unlearn.forget_weight: has no effect with op: siss"},
    {"methods: [{method: logo}, {method: guda, unlearn: {op: esd, horizon: 7}}]",
     "unlearn.horizon: 7 is before the last of 100 steps"},
    {"resources: {device: gpu}", "resources.device: 'gpu' is not cpu or cuda"},
    {"resources: {threads: 0}", "resources.threads: 0 is out of range: it must be 1 to 1024"},
    {"resources: {gang: 0}", "resources.gang: 0 is out of range: it must be 1 to 64"},
    {"resources: {gang: 8}\ntraining: {batch: 4}", "resources.gang: 8 workers can't share training.batch, 4"},
    {"retention: {keep: everything}", "retention.keep: 'everything' is not scores, queries+scores, weights or all"},
    {"methods: [[a], [b]]", "exp.yaml:1:11: methods.0: wants "},
    // not YAML
    {"training:\n\tsteps: 5", "exp.yaml:2:1: a tab in the indentation; YAML wants spaces"},
    {"training: {steps: 5", "exp.yaml:"},
    {"name: a: b", "not YAML: a ':' where none can stand; quote text that holds ': '"},
    {"name: *nobody", "not YAML: an alias (*name) without its anchor (&name)"},
    {"name: !!binary abc", "the tag tag:yaml.org,2002:binary has no meaning here"},
    {"name: x\n---\nname: y", "a second YAML document; keep one"},
    {"name: \xff\xfe", "exp.yaml:1:1: not UTF-8 text"},
};

}  // namespace

TEST_CASE("bad experiment files: the base that the rows break is good") { CHECK(message_of(whole("")) == "accepted"); }

TEST_CASE("bad experiment files: each is refused with its place, its key and a cure") {
  CHECK(std::size(kBad) >= 40);
  for (const Bad& bad : kBad) {
    CAPTURE(std::string(bad.yaml));
    const std::string message = message_of(whole(bad.yaml));
    CHECK_MESSAGE(message.find(bad.message) != std::string::npos, "said: ", message,
                  "\n  wanted: ", std::string(bad.message));
  }
}

TEST_CASE("bad experiment files: all faults are reported at once, in the order of the file") {
  const std::string message = message_of(
      "seeds: []\ntraining: {steps: 010, batch: 9999}\nmodel: {in_channel: 1}\nqueries: [{kind: held_out, sampler: "
      "{}}]\n"
      "methods: [{method: logo}, {method: logo}]\nsteps: 4\n");
  std::size_t last = 0;
  for (const char* expected : {"exp.yaml:1:8: seeds:", "exp.yaml:2:19: training.steps:",
                               "exp.yaml:2:31: training.batch:", "exp.yaml:3:9: model.in_channel:",
                               "exp.yaml:4:37: queries.held_out.sampler:", "methods.1.name:", "exp.yaml:6:1: steps:"}) {
    CAPTURE(message);
    const std::size_t at = message.find(expected);
    CHECK_MESSAGE(at != std::string::npos, std::string(expected));
    CHECK(at >= last);
    last = at;
  }
}

TEST_CASE("bad experiment files: an empty file, a list and a missing file say what to do") {
  CHECK(message_of("").find("exp.yaml: is empty; start from a copy of") != std::string::npos);
  CHECK(message_of("# only words\n").find("is empty") != std::string::npos);
  CHECK(message_of("- 1").find("wants a mapping with the keys name, seeds") != std::string::npos);
  CHECK_THROWS_WITH_AS((void)load_experiment("/no/such/file.yaml", {}), "/no/such/file.yaml: there is no such file",
                       config::ConfigError);
  CHECK_THROWS_WITH_AS((void)load_experiment("/", {}), "/: is a folder; name the experiment file in it",
                       config::ConfigError);
}

TEST_CASE("bad experiment files: bombs are cheap") {
  const auto start = std::chrono::steady_clock::now();
  std::string deep = "name: ";
  for (int i = 0; i < 100000; ++i) deep += '[';
  CHECK(message_of(deep).find("nested deeper than 64 levels") != std::string::npos);
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs +=
        fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  CHECK(message_of(laughs).find("more than 100000 values") != std::string::npos);
  CHECK(message_of("a: &a [*a]").find("an alias inside of its own anchor") != std::string::npos);
  CHECK(message_of(std::string(2U << 20U, ' ')).find("more than 1048576") != std::string::npos);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(took.count() < 2.0);
}

TEST_CASE("bad experiment files: a bad file is refused within 100 ms") {
  std::string yaml;
  for (const Bad& bad : kBad) yaml += fmt::format("key{}: {{steps: 010}}\n", &bad - kBad);
  const auto start = std::chrono::steady_clock::now();
  const std::string message = message_of(yaml);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(message.find("more issues are not shown") != std::string::npos);
  CHECK(took.count() < 0.1);
}
