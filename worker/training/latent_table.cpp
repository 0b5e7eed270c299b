#include "worker/training/latent_table.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "common/error.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

constexpr const char* kFile = "latents.safetensors";
constexpr std::int64_t kImagesAtOnce = 64;

double scale_of(const SafetensorsFile& file) {
  const auto found = file.metadata().find("scaling_factor");
  double scale = 0;
  if (found != file.metadata().end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), scale);
  if (!(scale > 0)) throw Error(file.path().string() + ": has no scaling_factor; remove the folder and run again");
  return scale;
}

}  // namespace

LatentTable encode_images(AutoencoderKL& autoencoder, const torch::Tensor& images, bool mirrored, torch::Device device,
                          const std::function<void()>& poll) {
  const c10::InferenceMode inference;
  const auto moments = [&](bool mirror) {
    std::vector<torch::Tensor> mean, logvar;
    for (std::int64_t first = 0; first < images.size(0); first += kImagesAtOnce) {
      torch::Tensor part = images.narrow(0, first, std::min(kImagesAtOnce, images.size(0) - first));
      if (mirror) part = part.flip({3});
      const LatentMoments latents = autoencoder->encode(part.to(device));
      mean.push_back(latents.mean.to(torch::kCPU));
      logvar.push_back(latents.logvar.to(torch::kCPU));
      poll();
    }
    return std::pair{torch::cat(mean).contiguous(), torch::cat(logvar).contiguous()};
  };
  LatentTable table;
  table.scale = autoencoder->config().scaling_factor;
  std::tie(table.mean, table.logvar) = moments(false);
  if (mirrored) std::tie(table.mirrored_mean, table.mirrored_logvar) = moments(true);
  return table;
}

void save_latents(const LatentTable& table, const std::filesystem::path& folder) {
  std::vector<TensorToWrite> tensors{to_write("mean", table.mean), to_write("logvar", table.logvar)};
  if (table.mirrored_mean.defined()) {
    tensors.push_back(to_write("mirrored_mean", table.mirrored_mean));
    tensors.push_back(to_write("mirrored_logvar", table.mirrored_logvar));
  }
  char scale[32];
  const auto [end, error] = std::to_chars(std::begin(scale), std::end(scale), table.scale);
  write_safetensors(folder / kFile, std::move(tensors), {{"scaling_factor", std::string(std::begin(scale), end)}});
}

LatentTable load_latents(std::span<const std::filesystem::path> folders) {
  LatentTable table;
  std::map<std::string, std::vector<torch::Tensor>> parts;
  for (const std::filesystem::path& folder : folders) {
    const SafetensorsFile file(folder / kFile);
    const double scale = scale_of(file);
    if (parts.empty()) table.scale = scale;
    for (const auto& [name, entry] : file.tensors()) parts[name].push_back(tensor_from(file, name).clone());
    if (scale != table.scale || parts["mean"].back().sizes().slice(1) != parts["mean"].front().sizes().slice(1))
      throw Error(file.path().string() + ": is of another autoencoder than the blocks before it");
  }
  const auto whole = [&](const char* name) { return parts.contains(name) ? torch::cat(parts[name]) : torch::Tensor(); };
  table.mean = whole("mean");
  table.logvar = whole("logvar");
  table.mirrored_mean = whole("mirrored_mean");
  table.mirrored_logvar = whole("mirrored_logvar");
  if (!table.mean.defined() || !table.logvar.defined()) throw Error("there are no latents in the blocks given");
  return table;
}

}  // namespace guda::worker
