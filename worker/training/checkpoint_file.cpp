#include "worker/training/checkpoint_file.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <optional>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

constexpr const char* kFormat = "guda checkpoint 1";
constexpr const char* kContent = "content";

/// Digest of a line per tensor and per entry of the metadata: covers names, types, shapes and bytes, whatever their
/// place.
Digest content_of(const std::map<std::string, std::string>& metadata,
                  const std::map<std::string, TensorToWrite>& tensors) {
  std::string text;
  for (const auto& [key, value] : metadata) {
    if (key != kContent) text += fmt::format("{}={}\n", Json(key).dump(), Json(value).dump());
  }
  for (const auto& [name, t] : tensors) {
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(t.bytes.data()), t.bytes.size());
    text += fmt::format("{} {} [{}] {}\n", Json(name).dump(), to_string(t.dtype), fmt::join(t.shape, ","),
                        digest_of(bytes).hex);
  }
  return digest_of(text);
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  throw Error(fmt::format("{}: {}", file.string(), why));
}

CheckpointHead head_from(const std::filesystem::path& file, const std::map<std::string, std::string>& metadata) {
  const auto found = metadata.find("head");
  const Json json = found == metadata.end() ? Json() : Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  try {
    return {Digest{json.at("job").get<std::string>()}, json.at("step").get<std::uint64_t>(),
            json.at("steps").get<std::uint64_t>(), json.at("seconds").get<double>(),
            json.at("worker").get<std::string>()};
  } catch (const Json::exception& e) {
    refuse(file, fmt::format("its head can't be read ({})", e.what()));
  }
}

}  // namespace

void write_checkpoint(const std::filesystem::path& file, const CheckpointHead& head, const NamedTensors& state) {
  std::vector<at::Tensor> alive;
  std::map<std::string, TensorToWrite> by_name;
  for (const auto& [name, tensor] : state) {
    alive.push_back(tensor.detach().cpu().contiguous());
    if (!by_name.emplace(name, to_write(name, alive.back())).second)
      throw Bug("checkpoint: two tensors are named " + name);
  }
  const Json json{{"job", head.job.hex},
                  {"step", head.step},
                  {"steps", head.steps},
                  {"seconds", head.seconds},
                  {"worker", head.worker}};
  std::map<std::string, std::string> metadata{{"format", kFormat}, {"head", json.dump()}};
  metadata[kContent] = content_of(metadata, by_name).hex;
  std::vector<TensorToWrite> tensors;
  for (auto& [name, tensor] : by_name) tensors.push_back(std::move(tensor));
  write_safetensors(file, std::move(tensors), metadata);
}

CheckpointHead read_checkpoint(const std::filesystem::path& file, const Digest& job, const NamedTensors& state) {
  const SafetensorsFile stored(file);
  const auto& metadata = stored.metadata();
  if (!metadata.contains("format") || metadata.at("format") != kFormat)
    refuse(file, std::string("is no '") + kFormat + "'");
  std::map<std::string, TensorToWrite> tensors;
  for (const auto& [name, entry] : stored.tensors())
    tensors.emplace(name, TensorToWrite{name, entry.dtype, entry.shape, stored.bytes(name)});
  if (!metadata.contains(kContent) || metadata.at(kContent) != content_of(metadata, tensors).hex) {
    refuse(file, "is damaged: its content has another digest than was written");
  }
  const CheckpointHead head = head_from(file, metadata);
  if (head.job != job) refuse(file, fmt::format("belongs to the job {}, not to {}", head.job.hex, job.hex));
  if (tensors.size() != state.size()) {
    refuse(file, fmt::format("has {} tensors where this build keeps {}: another version wrote it", tensors.size(),
                             state.size()));
  }
  for (const auto& [name, target] : state) {
    if (!tensors.contains(name)) refuse(file, fmt::format("lacks the tensor '{}': another version wrote it", name));
    const at::Tensor source = tensor_from(stored, name);
    if (source.sizes() != target.sizes() || source.scalar_type() != target.scalar_type()) {
      refuse(file, fmt::format("has the tensor '{}' in another shape or type: another version wrote it", name));
    }
  }
  const at::NoGradGuard no_grad;
  for (const auto& [name, target] : state) at::Tensor(target).copy_(tensor_from(stored, name));
  return head;
}

}  // namespace guda::worker
