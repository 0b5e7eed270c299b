#include "jobs/text_tokens.hpp"

#include <algorithm>

#include "common/files.hpp"
#include "jobs/cost.hpp"

namespace guda::jobs {
namespace {

double number_in(const std::filesystem::path& file, const char* key) {
  if (!std::filesystem::is_regular_file(file)) return kClipTokens;
  const Json json = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() && found->is_number() && *found > 0 ? found->get<double>() : kClipTokens;
}

}  // namespace

double text_tokens(const PipelineConfig& pipeline) {
  if (pipeline.folder.empty()) return pipeline.empty() ? kClipTokens : pipeline.text_encoder.tokens;
  return std::min(number_in(pipeline.folder / "tokenizer" / "tokenizer_config.json", "model_max_length"),
                  number_in(pipeline.folder / "text_encoder" / "config.json", "max_position_embeddings"));
}

}  // namespace guda::jobs
