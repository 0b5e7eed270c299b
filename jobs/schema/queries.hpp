#pragma once
// The section `queries` and its samplers.
#include "jobs/schema/field.hpp"

namespace guda::jobs {

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
  visit(Field{.key = "guidance",
              .meaning =
                  "of a text-to-image model by its prompt: e_u + guidance (e_c - e_u) with the predictions without "
                  "and with it; 0 = e_c alone",
              .max = 1000,
              .younger = true},
        c.guidance);
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
              .meaning = "images drawn from the full model, held-out real images, training images (to see whether they "
                         "find themselves), or image files",
              .choices = "generated|held_out|training|images"},
        c.kind);
  visit(Field{.key = "role",
              .meaning = "reported, or tuning: settings are chosen on it, so it is shown apart and is never a result",
              .choices = "reported|tuning"},
        c.role);
  visit(Field{.key = "count",
              .meaning = "images per run seed: exactly this many generated, at most this many held out or of training",
              .min = 1,
              .max = 10000000,
              .unit = "images",
              .only_key = "kind",
              .only_values = "generated|held_out|training"},
        c.count);
  visit(Field{.key = "first",
              .meaning = "how many held-out (or training) items to pass over, so that two sets are disjoint",
              .max = 10000000,
              .unit = "images",
              .only_key = "kind",
              .only_values = "held_out|training"},
        c.first);
  visit(Field{.key = "sampler",
              .meaning = "how images are drawn from the full model",
              .only_key = "kind",
              .only_values = "generated"},
        c.sampler);
  visit(Field{.key = "images",
              .meaning = "PNG files of the data set's shape; of pictures: JPEG or PNG of any size",
              .example = "[mine.png, yours.png]",
              .only_key = "kind",
              .only_values = "images"},
        c.images);
  visit(Field{.key = "prompts",
              .meaning = "of a text-to-image model: what each image shows; generated: texts to draw from, in turn",
              .example = "[\"An artwork of Seven, with soft edges, hazy shapes, low contrast\"]",
              .by_default = "generated: every style with every object",
              .younger = true,
              .only_key = "kind",
              .only_values = "generated|images"},
        c.prompts);
  visit(Field{.key = "prompt_file",
              .meaning =
                  "JSON lines {\"prompt\": .., \"style\": ..}, drawn from in turn; a style must be one of the data "
                  "set's",
              .example = "eval_prompts.jsonl",
              .by_default = "none",
              .younger = true,
              .only_key = "kind",
              .only_values = "generated"},
        c.prompt_file);
}

}  // namespace guda::jobs
