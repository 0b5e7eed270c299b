#include "worker/pipeline_parts.hpp"

#include "common/error.hpp"
#include "common/text/learn_byte_pairs.hpp"
#include "worker/device/device.hpp"
#include "worker/models/lora.hpp"
#include "worker/models/unet2d_condition.hpp"

namespace guda::worker {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> folders_of(const std::vector<Digest>& jobs, const PipelineParts::FindArtifact& find) {
  std::vector<fs::path> folders;
  for (const Digest& job : jobs) folders.push_back(find(job));
  return folders;
}

void copy_files(const fs::path& from, const fs::path& to, bool wants_weights) {
  bool weights = false;
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string suffix = entry.path().extension().string();
    if (!entry.is_regular_file() || (suffix != ".json" && suffix != ".safetensors" && suffix != ".txt")) continue;
    weights |= suffix == ".safetensors";
    fs::copy_file(entry.path(), to / entry.path().filename(), fs::copy_options::overwrite_existing);
  }
  if (wants_weights && !weights)
    throw Error(from.string() +
                ": holds no *.safetensors; save the pipeline again with diffusers' safe_serialization=True");
}

void new_text_encoder(const jobs::ComponentSpec& spec, const fs::path& folder) {
  const jobs::TextEncoderConfig& shape = spec.text_encoder;
  const text::BytePairs::Merges merges = text::learn_byte_pairs(spec.texts);
  fs::create_directories(folder / "tokenizer");
  text::save_clip_tokenizer(merges, shape.tokens, folder / "tokenizer");
  ClipTextConfig config;
  config.vocab_size = static_cast<std::uint32_t>(text::vocabulary_size(merges));
  config.eos_token_id = config.vocab_size - 1;
  config.max_position_embeddings = shape.tokens;
  config.hidden_size = shape.hidden_size;
  config.intermediate_size = 4 * shape.hidden_size;
  config.num_hidden_layers = shape.layers;
  config.num_attention_heads = shape.heads;
  ClipText encoder = make_clip_text(config, 0, (SeedPath(shape.seed) / "text_encoder").value());
  save_clip_text(encoder, folder / "text_encoder");
}

}  // namespace

std::shared_ptr<const TextTable> PipelineParts::texts(const std::vector<Digest>& jobs, const FindArtifact& find) {
  if (jobs.empty()) return nullptr;
  if (texts_ == nullptr || jobs != texts_of_) {
    texts_ = std::make_shared<const TextTable>(load_texts(folders_of(jobs, find)));
    texts_of_ = jobs;
  }
  return texts_;
}

std::shared_ptr<const LatentTable> PipelineParts::latents(const std::vector<Digest>& jobs, const FindArtifact& find) {
  if (jobs.empty()) return nullptr;
  if (latents_ == nullptr || jobs != latents_of_) {
    latents_ = std::make_shared<const LatentTable>(load_latents(folders_of(jobs, find)));
    latents_of_ = jobs;
  }
  return latents_;
}

AutoencoderKL PipelineParts::autoencoder(const Digest& job, const FindArtifact& find, torch::Device device) {
  if (job.empty()) return nullptr;
  if (autoencoder_.is_empty() || job != autoencoder_of_) {
    autoencoder_ = load_autoencoder_kl(find(job));
    move_to(*autoencoder_, device);
    autoencoder_of_ = job;
  }
  return autoencoder_;
}

Examples PipelineParts::examples(const jobs::Dataset& dataset, const jobs::Conditioning& conditioning,
                                 const FindArtifact& find, torch::Device device) {
  Examples examples{dataset, latents(conditioning.latents, find), texts(conditioning.texts, find)};
  examples.move_to(device);
  return examples;
}

TextToImage PipelineParts::text_to_image(const jobs::SampleSpec& spec, const FindArtifact& find, torch::Device device) {
  TextToImage how;
  if (const auto table = texts(spec.conditioning.texts, find)) {
    how.prompted = {table->embeddings(spec.prompts), table->embeddings(std::vector<std::string>{""}),
                    spec.set.sampler.guidance};
  }
  how.autoencoder = autoencoder(spec.conditioning.autoencoder, find, device);
  return how;
}

Seen PipelineParts::queries(const jobs::Conditioning& conditioning, const QuerySet& set, std::uint32_t first,
                            std::uint32_t count, const FindArtifact& find, torch::Device device,
                            const std::function<void()>& poll) {
  Seen seen{set.images.narrow(0, first, count)};
  if (const auto table = texts(conditioning.texts, find))
    seen.contexts = table->embeddings(std::span(set.prompts).subspan(first, count));
  if (AutoencoderKL encoder = autoencoder(conditioning.autoencoder, find, device); !encoder.is_empty()) {
    const LatentTable latents = encode_images(encoder, seen.x0, false, device, poll);
    seen.x0 = latents.mean * latents.scale;
  }
  return seen;
}

void make_component(const jobs::ComponentSpec& spec, const fs::path& folder) {
  if (!spec.lora.empty()) {
    UNet2DCondition model = load_unet2d_condition(spec.folder / spec.part);
    merge_lora(*model, read_lora(spec.lora), spec.lora.string());
    return save_unet2d_condition(model, model->config().to_json(), folder);
  }
  if (spec.part != "text_encoder") return copy_files(spec.folder / spec.part, folder, true);
  if (spec.folder.empty()) return new_text_encoder(spec, folder);
  copy_files(spec.folder / "text_encoder", folder / "text_encoder", true);
  copy_files(spec.folder / "tokenizer", folder / "tokenizer", false);
}

}  // namespace guda::worker
