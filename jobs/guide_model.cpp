#include "jobs/guide_model.hpp"

#include <array>

#include "jobs/unet_config.hpp"

namespace guda::jobs {
namespace {

/// Same key, meaning and default in both kinds of model, or carried over with the UNet2DModel's default.
constexpr std::array kShared{"sample_size",
                             "center_input_sample",
                             "freq_shift",
                             "flip_sin_to_cos",
                             "down_block_types",
                             "up_block_types",
                             "layers_per_block",
                             "mid_block_scale_factor",
                             "downsample_padding",
                             "dropout",
                             "act_fn",
                             "norm_num_groups",
                             "norm_eps",
                             "resnet_time_scale_shift"};

}  // namespace

Json guide_model(const Experiment& experiment, std::uint32_t classes) {
  const Json& model = experiment.model;
  Json guide{{"_class_name", "UNet2DConditionModel"},
             {"in_channels", model.value("in_channels", 3)},
             {"out_channels", model.value("out_channels", 3)},
             {"block_out_channels", experiment.guide.block_out_channels},
             {"cross_attention_dim", experiment.guide.block_out_channels.back()},
             {"class_embed_type", "projection"},
             {"projection_class_embeddings_input_dim", classes + 1}};
  for (const char* key : kShared) {
    if (model.contains(key)) guide[key] = model[key];
  }
  if (const auto head = model.find("attention_head_dim"); head != model.end() && !head->is_null())
    guide["attention_head_dim"] = *head;
  if (!model.value("add_attention", true)) guide["mid_block_type"] = "UNetMidBlock2D";
  return guide;
}

bool is_guide_model(const Json& model) {
  return is_condition_model(model) && !model.value("class_embed_type", Json()).is_null();
}

}  // namespace guda::jobs
