#pragma once
// The section `pipeline`.
#include "jobs/schema/field.hpp"
#include "jobs/schema/training.hpp"

namespace guda::jobs {

template <class Visit>
void describe(Visit& visit, ConfigOf<TextEncoderConfig> auto& c) {
  visit(Field{.key = "hidden_size",
              .meaning = "width of the embeddings, and model.cross_attention_dim",
              .min = 1,
              .max = 65536,
              .by_default = "none"},
        c.hidden_size);
  visit(Field{.key = "layers", .meaning = "transformer layers", .min = 1, .max = 100}, c.layers);
  visit(Field{.key = "heads", .meaning = "attention heads, a divisor of hidden_size", .min = 1, .max = 1000}, c.heads);
  visit(Field{.key = "tokens",
              .meaning = "length of a text with its start and end; longer ones are cut off",
              .min = 3,
              .max = 4096,
              .unit = "tokens"},
        c.tokens);
  visit(Field{.key = "seed", .meaning = "of its random weights"}, c.seed);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<AutoencoderConfig> auto& c) {
  visit(Field{.key = "block_out_channels",
              .meaning = "channels of each resolution; a latent pixel is 2^(entries - 1) pixels wide",
              .min = 1,
              .max = 65536,
              .example = "[16, 32]",
              .by_default = "no autoencoder"},
        c.block_out_channels);
  visit(
      Field{
          .key = "latent_channels", .meaning = "channels of the latents, and model.in_channels", .min = 1, .max = 1024},
      c.latent_channels);
  visit(Field{.key = "layers_per_block", .meaning = "residual blocks per resolution", .min = 1, .max = 100},
        c.layers_per_block);
  visit(Field{.key = "norm_num_groups", .meaning = "groups of group norm", .min = 1, .max = 65536}, c.norm_num_groups);
  visit(Field{.key = "kl_weight",
              .meaning = "weight of an image's KL divergence beside the mean squared error of its pixels",
              .max = 1},
        c.kl_weight);
  visit(Field{.key = "training", .meaning = "of the autoencoder, on the training images"}, c.training);
}

template <class Visit>
void describe(Visit& visit, ConfigOf<PipelineConfig> auto& c) {
  visit(Field{.key = "folder",
              .meaning =
                  "a diffusers pipeline (unet, vae, text_encoder, tokenizer), whose unet the full model and every "
                  "LOGO model are fine-tuned from; the other keys but caption_dropout make one where there is none",
              .example = "/models/stable-diffusion-v1-5",
              .by_default = "none"},
        c.folder);
  visit(Field{.key = "text_encoder", .meaning = "a CLIP text model with random weights, never trained"},
        c.text_encoder);
  visit(Field{.key = "autoencoder", .meaning = "an AutoencoderKL: the model works on its latents"}, c.autoencoder);
  visit(
      Field{.key = "base",
            .meaning = "training of the model that the full one and every LOGO model are fine-tuned from, on the data "
                       "set without styles"},
      c.base);
  visit(Field{.key = "caption_dropout",
              .meaning =
                  "share of the training rows of every model whose caption is withheld, so that samplers can guide",
              .max = 1},
        c.caption_dropout);
  visit(Field{.key = "lora",
              .meaning = "a LoRA of diffusers or peft (pytorch_lora_weights.safetensors) that is merged into the "
                         "folder's unet",
              .example = "/models/my-style/pytorch_lora_weights.safetensors",
              .by_default = "none",
              .younger = true},
        c.lora);
}

}  // namespace guda::jobs
