#include "worker/models/weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

namespace fs = std::filesystem;

std::map<std::string, at::Tensor> tensors_of(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& p : module.named_parameters()) tensors.emplace(p.key(), p.value());
  for (const auto& b : module.named_buffers()) tensors.emplace(b.key(), b.value());
  return tensors;
}

/// Names that attention had before diffusers 0.15 (the originals of many published checkpoints).
std::string current_name(std::string name) {
  static constexpr std::array<std::pair<const char*, const char*>, 4> kRenamed{
      {{".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}}};
  if (name.find("attentions.") == std::string::npos) return name;
  for (const auto& [old_part, new_part] : kRenamed) {
    if (const auto at = name.find(old_part); at != std::string::npos) {
      return name.replace(at, std::strlen(old_part), new_part);
    }
  }
  return name;
}

/// File names of an index, each checked to stay under `folder`.
std::vector<fs::path> shards_of(const fs::path& folder, const fs::path& index) {
  Json json;
  try {
    json = Json::parse(read_file(index));
  } catch (const Json::exception& e) {
    throw Error(index.string() + ": not valid JSON (" + e.what() + "); copy the model again");
  }
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw Error(index.string() + ": holds no object 'weight_map'; save the model again");
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const fs::path path = file.is_string() ? file.get<std::string>() : std::string();
    const bool climbs = std::find(path.begin(), path.end(), fs::path("..")) != path.end();
    if (path.empty() || path.is_absolute() || climbs) {
      throw Error(fmt::format("{}: weight_map.{}: {} is not a path below the model's folder", index.string(), tensor,
                              file.dump()));
    }
    names.insert(path.string());
  }
  std::vector<fs::path> shards;
  for (const std::string& name : names) shards.push_back(folder / name);
  return shards;
}

std::vector<SafetensorsFile> open_weights(const fs::path& folder, const std::string& stem) {
  const fs::path single = folder / (stem + ".safetensors"), index = folder / (stem + ".safetensors.index.json");
  std::vector<SafetensorsFile> files;
  if (fs::exists(single)) {
    files.emplace_back(single);
  } else if (fs::exists(index)) {
    for (const fs::path& shard : shards_of(folder, index)) files.emplace_back(shard);
  } else if (const fs::path pickle = folder / (stem + ".bin"); fs::exists(pickle)) {
    files.emplace_back(pickle);  // refused there, with the cure
  } else {
    throw IoError(fmt::format("{}: neither {} nor {} exists; is this the folder of a saved model?", folder.string(),
                              single.filename().string(), index.filename().string()));
  }
  return files;
}

/// Numbers that are read, converted and checked while they are in the cache. A bound on memory beside the weights, too.
constexpr std::int64_t kAtOnce = 1 << 16;

bool all_finite(const at::Tensor& numbers) {
  if (numbers.scalar_type() == at::kFloat && numbers.is_contiguous()) {
    // A sum of squares that is finite has finite terms; one that is not may have overflown.
    const double sum = kernels::kernels().sum_of_squares(numbers.numel(), numbers.const_data_ptr<float>());
    if (std::isfinite(sum)) return true;
  }
  return !numbers.is_floating_point() || numbers.isfinite().all().item<bool>();
}

/// Fills `target` [any shape, contiguous, on the CPU] piece by piece; returns how many numbers are not finite.
std::int64_t fill(const at::Tensor& target, const SafetensorsFile& file, const std::string& name) {
  const TensorEntry& entry = file.tensors().at(name);
  const at::Tensor flat = target.view({-1});
  const at::ScalarType stored = scalar_type(entry.dtype);
  const auto width = static_cast<std::int64_t>(size_of(entry.dtype));
  at::Tensor buffer;
  if (stored != target.scalar_type()) buffer = at::empty({std::min(kAtOnce, flat.numel())}, stored);
  std::int64_t bad = 0;
  for (std::int64_t first = 0; first < flat.numel(); first += kAtOnce) {
    const std::int64_t count = std::min(kAtOnce, flat.numel() - first);
    at::Tensor piece = flat.narrow(0, first, count), read = buffer.defined() ? buffer.narrow(0, 0, count) : piece;
    file.read(name, static_cast<std::uint64_t>(first * width),
              {static_cast<std::byte*>(read.data_ptr()), static_cast<std::size_t>(count * width)});
    if (!all_finite(read)) bad += count - read.isfinite().sum().item<std::int64_t>();
    if (buffer.defined()) piece.copy_(read);
  }
  return bad;
}

}  // namespace

Json read_model_config(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  try {
    return Json::parse(read_file(file));
  } catch (const Json::exception& e) {
    throw Error(file.string() + ": not valid JSON (" + e.what() + "); save the model again");
  }
}

std::optional<std::vector<std::uint64_t>> stored_shape(const fs::path& folder, const std::string& stem,
                                                       const std::string& name) {
  for (const SafetensorsFile& file : open_weights(folder, stem)) {
    if (const auto found = file.tensors().find(name); found != file.tensors().end()) return found->second.shape;
  }
  return std::nullopt;
}

void load_weights(torch::nn::Module& module, const fs::path& folder, const std::string& stem,
                  const std::function<bool(const std::string&)>& passed_over) {
  const std::vector<SafetensorsFile> files = open_weights(folder, stem);
  std::map<std::string, at::Tensor> wanted = tensors_of(module);
  std::vector<std::string> unused, misshaped, missing, twice, not_finite;
  std::set<std::string> filled;
  const at::NoGradGuard no_grad;
  for (const SafetensorsFile& file : files) {
    for (const auto& [stored_name, entry] : file.tensors()) {
      if (passed_over && passed_over(stored_name)) continue;
      const std::string name = current_name(stored_name);
      const auto target = wanted.find(name);
      if (target == wanted.end()) {
        unused.push_back(stored_name);
        continue;
      }
      if (!filled.insert(name).second) twice.push_back(stored_name);
      const at::Tensor& to = target->second;
      if (!std::equal(entry.shape.begin(), entry.shape.end(), to.sizes().begin(), to.sizes().end())) {
        misshaped.push_back(fmt::format("{} [{}] instead of [{}]", stored_name, fmt::join(entry.shape, ", "),
                                        fmt::join(to.sizes(), ", ")));
        continue;
      }
      if (const std::int64_t bad = fill(to, file, stored_name); bad > 0)
        not_finite.push_back(fmt::format("{} ({} of {} values)", stored_name, bad, to.numel()));
    }
  }
  for (const auto& [name, tensor] : wanted) {
    if (!filled.contains(name)) missing.push_back(name);
  }
  std::string faults;
  for (const auto& [what, names] : {std::pair{"missing", &missing}, std::pair{"unused", &unused},
                                    std::pair{"misshaped", &misshaped}, std::pair{"stored twice", &twice}}) {
    if (!names->empty()) faults += fmt::format("\n  {} {}: {}", names->size(), what, fmt::join(*names, ", "));
  }
  if (!faults.empty()) {
    throw Error(fmt::format("{}: weights and config.json do not belong together; take both from one saved model:{}",
                            folder.string(), faults));
  }
  if (!not_finite.empty()) {
    throw Error(
        fmt::format("{}: weights are NaN or infinite, the training that left them diverged; take another model: {}",
                    folder.string(), fmt::join(not_finite, ", ")));
  }
}

void save_weights(torch::nn::Module& module, const fs::path& file) {
  std::vector<at::Tensor> alive;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : tensors_of(module)) {
    alive.push_back(tensor.detach().cpu().contiguous());
    tensors.push_back(to_write(name, alive.back()));
  }
  write_safetensors(file, std::move(tensors), {{"format", "pt"}});
}

}  // namespace guda::worker
