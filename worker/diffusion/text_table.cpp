#include "worker/diffusion/text_table.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

constexpr const char* kNumbers = "texts.safetensors";
constexpr const char* kTexts = "texts.json";
constexpr std::size_t kTextsAtOnce = 64;

std::vector<std::string> read_texts(const std::filesystem::path& file, std::int64_t rows) {
  const Json json = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  const auto is_text = [](const Json& text) { return text.is_string(); };
  if (!json.is_array() || static_cast<std::int64_t>(json.size()) != rows ||
      !std::all_of(json.begin(), json.end(), is_text))
    throw Error(file.string() + ": is not the list of the texts beside it; remove the folder and run again");
  return json.get<std::vector<std::string>>();
}

}  // namespace

TextTable::TextTable(const std::vector<std::string>& texts, torch::Tensor embeddings, torch::Tensor pooled)
    : embeddings_(std::move(embeddings)), pooled_(std::move(pooled)) {
  for (std::size_t i = 0; i < texts.size(); ++i) rows_.try_emplace(texts[i], static_cast<std::int64_t>(i));
}

torch::Tensor TextTable::rows_of(std::span<const std::string> texts) const {
  torch::Tensor rows = torch::empty({static_cast<std::int64_t>(texts.size())}, torch::kInt64);
  auto* row = rows.data_ptr<std::int64_t>();
  for (const std::string& text : texts) {
    const auto found = rows_.find(text);
    if (found == rows_.end()) throw Bug("the text '" + text + "' was not embedded");
    *row++ = found->second;
  }
  return rows;
}

TextTable TextTable::on(torch::Device device) const {
  TextTable there = *this;
  there.embeddings_ = embeddings_.to(device);
  return there;
}

torch::Tensor TextTable::embeddings(std::span<const std::string> texts) const {
  return embeddings_.index_select(0, rows_of(texts).to(embeddings_.device()));
}

torch::Tensor TextTable::pooled(std::span<const std::string> texts) const {
  return pooled_.index_select(0, rows_of(texts));
}

EmbeddedTexts embed_texts(const text::ClipTokenizer& tokenizer, ClipText& encoder, std::span<const std::string> texts,
                          torch::Device device) {
  const c10::InferenceMode inference;
  const std::size_t length =
      std::min<std::size_t>(tokenizer.context_length(), encoder->config().max_position_embeddings);
  std::vector<torch::Tensor> embeddings, pooled;
  for (std::size_t first = 0; first < texts.size(); first += kTextsAtOnce) {
    const auto part = texts.subspan(first, std::min(kTextsAtOnce, texts.size() - first));
    torch::Tensor ids =
        torch::empty({static_cast<std::int64_t>(part.size()), static_cast<std::int64_t>(length)}, torch::kInt64);
    auto* id = ids.data_ptr<std::int64_t>();
    for (const std::string& text : part) id = std::copy_n(tokenizer.encode(text, length).begin(), length, id);
    const ClipTextOutput output = encoder(ids.to(device));
    embeddings.push_back(output.last_hidden_state.to(torch::kCPU));
    pooled.push_back(
        (encoder->projection() > 0 ? encoder->project(output.pooler_output) : output.pooler_output).to(torch::kCPU));
  }
  return {torch::cat(embeddings).contiguous(), torch::cat(pooled).contiguous()};
}

void save_texts(std::span<const std::string> texts, const EmbeddedTexts& embedded,
                const std::filesystem::path& folder) {
  write_safetensors(folder / kNumbers,
                    {to_write("embeddings", embedded.embeddings), to_write("pooled", embedded.pooled)});
  replace_file(folder / kTexts, Json(std::vector(texts.begin(), texts.end())).dump() + "\n", false);
}

TextTable load_texts(std::span<const std::filesystem::path> folders) {
  std::vector<std::string> texts;
  std::vector<torch::Tensor> embeddings, pooled;
  for (const std::filesystem::path& folder : folders) {
    const SafetensorsFile file(folder / kNumbers);
    embeddings.push_back(tensor_from(file, "embeddings").clone());
    pooled.push_back(tensor_from(file, "pooled").clone());
    for (std::string& text : read_texts(folder / kTexts, embeddings.back().size(0))) texts.push_back(std::move(text));
  }
  return {texts, torch::cat(embeddings), torch::cat(pooled)};
}

}  // namespace guda::worker
