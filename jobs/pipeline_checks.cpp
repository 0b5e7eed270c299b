#include <fmt/format.h>

#include "jobs/experiment_rules.hpp"
#include "jobs/memory.hpp"
#include "jobs/pipeline_folder.hpp"
#include "jobs/styled_digits.hpp"
#include "jobs/unet_config.hpp"

namespace guda::jobs {
namespace {

class PipelineChecks {
 public:
  PipelineChecks(Rules& rules, bool data_may_be_missing)
      : r_(rules), e_(rules.experiment()), p_(e_.pipeline), data_may_be_missing_(data_may_be_missing) {}

  void all() {
    what_needs_a_pipeline();
    parameters();
    if (p_.empty()) return;
    parts();
    model();
    methods();
    queries();
  }

 private:
  void what_needs_a_pipeline() {
    if (!p_.empty()) return;
    r_.rule(r_.written({"pipeline"}), {"pipeline"},
            [] { return "wants the `folder` of a diffusers pipeline, or a `text_encoder` with its hidden_size"; });
    r_.rule(is_condition_model(e_.model), {"model", "_class_name"},
            [] { return "a UNet2DConditionModel is told a text: add a `pipeline`, as in jobs/recipes/styles.yaml"; });
    r_.rule(!e_.training.parameters.empty(), {"training", "parameters", "kind"}, [] {
      return "without a `pipeline` models are trained from random weights, which wants all of them: leave it out";
    });
    for (std::size_t i = 0; i < e_.queries.size(); ++i) {
      const std::string entry = std::to_string(i);
      r_.rule(e_.queries[i].sampler.guidance > 0, {"queries", entry, "sampler", "guidance"},
              [] { return "there is no prompt to guide by without a `pipeline`"; });
      r_.rule(!e_.queries[i].prompts.empty(), {"queries", entry, "prompts"},
              [] { return "have no effect without a `pipeline`"; });
      r_.rule(!e_.queries[i].prompt_file.empty(), {"queries", entry, "prompt_file"},
              [] { return "has no effect without a `pipeline`"; });
    }
    for (std::size_t i = 0; i < e_.methods.size(); ++i) {
      const std::string& features = e_.methods[i].similarity.features;
      r_.rule(features == "latents" || features == "captions", {"methods", std::to_string(i), "similarity", "features"},
              [&] { return fmt::format("there are no {} without a `pipeline`", features); });
      r_.rule(e_.methods[i].ascent.weights == "cross_attention", {"methods", std::to_string(i), "ascent", "weights"},
              [] { return "a model without a `pipeline` has no cross-attention: choose all or attention"; });
      r_.rule(e_.methods[i].method == "guda" && e_.methods[i].unlearn.op == "guda_c",
              {"methods", std::to_string(i), "unlearn", "op"},
              [] { return "guda_c asks a text-to-image model under other captions: add a `pipeline`"; });
      r_.rule(e_.methods[i].unlearn.parameters.kind == "lora",
              {"methods", std::to_string(i), "unlearn", "parameters", "kind"},
              [] { return "LoRA is for text-to-image models: add a `pipeline`, or choose attention"; });
    }
  }

  /// What must train all of a model, and what nothing can be trained of.
  void parameters() {
    const auto from_nothing = [&](const TrainingConfig& training, KeyPath path) {
      path.insert(path.end(), {"parameters", "kind"});
      r_.rule(!training.parameters.empty(), path,
              [] { return "this model starts from random weights, which wants all of them: leave it out"; });
    };
    from_nothing(p_.base, {"pipeline", "base"});
    from_nothing(p_.autoencoder.training, {"pipeline", "autoencoder", "training"});
    from_nothing(e_.guide.training, {"guide", "training"});
    const auto something = [&](const ParametersConfig& parameters, KeyPath path) {
      path.insert(path.end(), {"parameters", "kind"});
      r_.rule(!parameters.empty() && !e_.model.empty() && trained_parameters(e_.model, parameters) == 0, path, [&] {
        return fmt::format("the model has no {}: leave it out",
                           parameters.kind == "lora" ? "transformers to put a LoRA beside" : "attention to train");
      });
    };
    // Without a pipeline training takes all, and there is no LoRA: said above.
    if (!p_.empty()) something(e_.training.parameters, {"training"});
    for (std::size_t i = 0; i < e_.methods.size(); ++i) {
      const ParametersConfig& parameters = e_.methods[i].unlearn.parameters;
      if (!p_.empty() || parameters.kind != "lora") something(parameters, {"methods", std::to_string(i), "unlearn"});
    }
  }

  void parts() {
    r_.rule(e_.dataset.kind != "styled_digits" && !e_.dataset.of_pictures(), {"dataset", "kind"},
            [&] { return fmt::format("{} have no captions, which a text-to-image model needs", e_.dataset.kind); });
    r_.rule(!p_.lora.empty() && p_.folder.empty(), {"pipeline", "lora"},
            [] { return "is merged into the unet of pipeline.folder, and there is none"; }, {{"pipeline", "folder"}});
    r_.rule(!p_.lora.empty() && !Rules::is_file(p_.lora), {"pipeline", "lora"},
            [&] { return fmt::format("there is no file {}", p_.lora.string()); });
    if (!p_.folder.empty()) {
      if (!(data_may_be_missing_ && !Rules::exists(p_.folder))) {
        for (const std::string& fault : faults_of_pipeline(p_.folder))
          r_.rule(true, {"pipeline", "folder"}, [&] { return fault; });
      }
      for (const char* part : {"text_encoder", "autoencoder", "base"}) {
        r_.rule(r_.written({"pipeline", part}), {"pipeline", part},
                [] { return "has no effect with pipeline.folder, which brings its own"; });
      }
      return;
    }
    r_.rule(e_.dataset.of_pictures() && r_.written({"pipeline", "base"}), {"pipeline", "base"}, [] {
      return "has no effect: pictures have no version without a style to train a base on; models begin with random "
             "weights, or with those of a pipeline.folder";
    });
    const TextEncoderConfig& t = p_.text_encoder;
    r_.rule(t.hidden_size % t.heads != 0, {"pipeline", "text_encoder", "heads"},
            [&] { return fmt::format("{} heads can't share a hidden_size of {}", t.heads, t.hidden_size); },
            {{"pipeline", "text_encoder", "hidden_size"}});
    for (const std::uint32_t width : p_.autoencoder.block_out_channels) {
      r_.rule(width % p_.autoencoder.norm_num_groups != 0, {"pipeline", "autoencoder", "block_out_channels"}, [&] {
        return fmt::format("{} is not a multiple of norm_num_groups, {}", width, p_.autoencoder.norm_num_groups);
      });
    }
    r_.horizon({"pipeline", "base"}, p_.base.horizon, p_.base.steps);
    if (!e_.dataset.of_pictures()) r_.at_most_training_items({"pipeline", "base", "batch"}, p_.base.batch);
  }

  void model() {
    const bool own_model = p_.folder.empty() || r_.written({"model"});
    r_.rule(own_model && !e_.model.empty() && !is_condition_model(e_.model), {"model"},
            [] { return "wants `_class_name: UNet2DConditionModel`, because of the pipeline"; });
    if (!p_.folder.empty() || !is_condition_model(e_.model)) return;
    const auto width = e_.model.value("cross_attention_dim", std::uint32_t{1280});
    r_.rule(width != p_.text_encoder.hidden_size, {"model", "cross_attention_dim"}, [&] {
      return fmt::format("is {}, but embeddings are {} wide (pipeline.text_encoder.hidden_size)", width,
                         p_.text_encoder.hidden_size);
    });
  }

  void methods() {
    r_.rule(!e_.guide.empty(), {"guide"},
            [] { return "has no effect with a pipeline: the full model itself is asked with and without a caption"; });
    for (std::size_t i = 0; i < e_.methods.size(); ++i) {
      const MethodConfig& m = e_.methods[i];
      const std::string entry = std::to_string(i);
      r_.rule(m.similarity.features == "latents" && p_.folder.empty() && p_.autoencoder.empty(),
              {"methods", entry, "similarity", "features"},
              [] { return "there are no latents without pipeline.autoencoder"; });
      if (m.method != "guda") continue;
      r_.rule(m.unlearn.op == "esd_class" && p_.folder.empty() && p_.caption_dropout == 0,
              {"methods", entry, "unlearn", "op"}, [] {
                return "esd_class asks the full model without a caption, which it does not learn with "
                       "pipeline.caption_dropout: 0";
              });
      const std::size_t words = kDigitStyles.front().descriptors.size();
      r_.rule(m.unlearn.anchor.descriptors > words && !e_.dataset.of_pictures(),
              {"methods", entry, "unlearn", "anchor", "descriptors"},
              [&] { return fmt::format("a style has {} descriptors", words); });
    }
  }

  void queries() {
    const bool latent = !p_.folder.empty() || !p_.autoencoder.empty();
    for (std::size_t i = 0; i < e_.queries.size(); ++i) {
      const QuerySetConfig& q = e_.queries[i];
      const std::string entry = std::to_string(i);
      r_.rule(q.kind == "generated" && latent && q.sampler.clamp, {"queries", entry, "sampler", "clamp"},
              [] { return "latents have no bounds to clamp to: choose false"; });
      r_.rule(!q.prompt_file.empty() && !q.prompts.empty(), {"queries", entry, "prompt_file"},
              [] { return "has no effect beside `prompts`; leave one of them out"; });
      r_.rule(!q.prompt_file.empty() && !data_may_be_missing_ && !Rules::is_file(q.prompt_file),
              {"queries", entry, "prompt_file"},
              [&] { return fmt::format("there is no file {}", q.prompt_file.string()); });
      r_.rule(q.kind == "images" && q.prompts.size() != q.images.size(), {"queries", entry, "prompts"}, [&] {
        return fmt::format("wants what each of the {} images shows, and has {}", q.images.size(), q.prompts.size());
      });
    }
  }

  Rules& r_;
  const Experiment& e_;
  const PipelineConfig& p_;
  const bool data_may_be_missing_;
};

}  // namespace

void check_pipeline(Rules& rules, bool data_may_be_missing) { PipelineChecks(rules, data_may_be_missing).all(); }

}  // namespace guda::jobs
