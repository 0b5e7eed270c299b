#include "worker/models/clip_text.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "common/error.hpp"
#include "common/files.hpp"
#include "worker/models/clip_weights.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {
namespace {

struct TextPartImpl : torch::nn::Module {};
TORCH_MODULE(TextPart);

/// Old configs call the end token 2, which it never was: transformers then takes the token of highest number.
constexpr std::uint32_t kLegacyEnd = 2;

/// CLIPPreTrainedModel._init_weights
void initialise(ClipTextImpl& model) {
  const at::NoGradGuard no_grad;
  const ClipTextConfig& c = model.config();
  const double width = c.hidden_size, in = std::pow(width, -0.5) * std::pow(2.0 * c.num_hidden_layers, -0.5);
  for (const auto& entry : model.named_parameters()) {
    const std::string& name = entry.key();
    at::Tensor weight = entry.value();
    const auto is = [&](const char* part) { return name.find(part) != std::string::npos; };
    if (is("norm")) continue;  // 1 and 0 already
    if (name.ends_with(".bias")) weight.zero_();
    else if (is("embedding")) weight.normal_(0, 0.02);
    else if (is("out_proj") || is("text_projection")) weight.normal_(0, std::pow(width, -0.5));
    else if (is("fc1")) weight.normal_(0, std::pow(2 * width, -0.5));
    else weight.normal_(0, in);
  }
}

}  // namespace

ClipTextImpl::ClipTextImpl(ClipTextConfig config, std::uint32_t projection)
    : config_(std::move(config)), projection_width_(projection) {
  const std::int64_t width = config_.hidden_size;
  TextPart embeddings, text;
  token_embedding_ = embeddings->register_module("token_embedding", torch::nn::Embedding(config_.vocab_size, width));
  position_embedding_ =
      embeddings->register_module("position_embedding", torch::nn::Embedding(config_.max_position_embeddings, width));
  text->register_module("embeddings", embeddings);
  encoder_ = text->register_module("encoder", ClipEncoder(config_));
  final_layer_norm_ = text->register_module("final_layer_norm", clip_norm(config_));
  register_module("text_model", text);
  if (projection > 0) {
    text_projection_ =
        register_module("text_projection", torch::nn::Linear(torch::nn::LinearOptions(width, projection).bias(false)));
  }
}

at::Tensor ClipTextImpl::embeddings(const at::Tensor& ids) {
  if (ids.dim() != 2 || ids.size(1) < 1 || ids.size(1) > config_.max_position_embeddings ||
      !at::isIntegralType(ids.scalar_type(), /*includeBool=*/false))
    throw Error(fmt::format("CLIP text: input_ids of type {} and shape [{}] are not whole numbers [N, 1 to {}]",
                            at::toString(ids.scalar_type()), fmt::join(ids.sizes(), ", "),
                            config_.max_position_embeddings));
  if (ids.numel() > 0 && (ids.min().item<std::int64_t>() < 0 || ids.max().item<std::int64_t>() >= config_.vocab_size))
    throw Error(
        fmt::format("CLIP text: input_ids hold numbers that are no tokens of this model's {}; was the text "
                    "tokenized with another vocabulary?",
                    config_.vocab_size));
  return token_embedding_(ids.to(at::kLong)) + position_embedding_->weight.narrow(0, 0, ids.size(1));
}

ClipTextOutput ClipTextImpl::forward(const at::Tensor& ids) {
  ClipTextOutput out;
  out.hidden_states.push_back(embeddings(ids));
  const at::Tensor last = encoder_->forward(out.hidden_states.front(), /*causal=*/true, encoder_->layer_count(),
                                            [&](const at::Tensor& x) { out.hidden_states.push_back(x); });
  out.last_hidden_state = final_layer_norm_(last);
  const at::Tensor end = config_.eos_token_id == kLegacyEnd
                             ? ids.argmax(-1)
                             : ids.eq(static_cast<std::int64_t>(config_.eos_token_id)).to(at::kInt).argmax(-1);
  out.pooler_output =
      out.last_hidden_state.index({at::arange(ids.size(0), end.options().dtype(at::kLong)), end.to(at::kLong)});
  return out;
}

at::Tensor ClipTextImpl::embed(const at::Tensor& ids, std::uint32_t skip) {
  const std::size_t layers = encoder_->layer_count();
  if (skip > layers) throw Error(fmt::format("CLIP text: {} layers cannot be skipped of {}", skip, layers));
  return final_layer_norm_(encoder_->forward(embeddings(ids), /*causal=*/true, layers - skip));
}

at::Tensor ClipTextImpl::project(const at::Tensor& pooled) {
  if (!text_projection_)
    throw Error("CLIP text: this model has no text_projection; take a CLIPTextModelWithProjection");
  return text_projection_(pooled);
}

ClipText make_clip_text(const ClipTextConfig& config, std::uint32_t projection, std::uint64_t init_seed) {
  ClipText model{nullptr};
  build_seeded(init_seed, [&] {
    model = ClipText(config, projection);
    initialise(*model);
  });
  return model;
}

ClipText load_clip_text(const std::filesystem::path& folder) {
  const ClipTextConfig config = ClipTextConfig::from_json(read_model_config(folder), (folder / "config.json").string());
  ClipText model{nullptr};
  build_seeded(0, [&] { model = ClipText(config, clip_projection_width(folder, ClipTower::text)); });
  load_clip_weights(*model, folder, ClipTower::text);
  model->eval();
  return model;
}

void save_clip_text(ClipText& model, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  save_weights(*model, folder / (std::string(kClipWeights) + ".safetensors"));
  replace_file(folder / "config.json", model->config().to_json(model->projection()).dump(2) + "\n");
}

}  // namespace guda::worker
