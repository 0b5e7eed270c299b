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
constexpr std::int64_t kImagesAtOnce = 64, kPixelsAtOnce = 1 << 20;

double scale_of(const SafetensorsFile& file) {
  const auto found = file.metadata().find("scaling_factor");
  double scale = 0;
  if (found != file.metadata().end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), scale);
  if (!(scale > 0)) throw Error(file.path().string() + ": has no scaling_factor; remove the folder and run again");
  return scale;
}

}  // namespace

LatentTable table_on(const LatentTable& table, torch::Device device) {
  const auto there = [&](const torch::Tensor& t) { return t.defined() ? t.to(device) : t; };
  return {there(table.mean), there(table.logvar), there(table.mirrored_mean), there(table.mirrored_logvar),
          table.scale};
}

LatentTable encode_images(AutoencoderKL& autoencoder, const ImagesAt& images, std::int64_t count, bool mirrored,
                          torch::Device device, const std::function<void()>& poll) {
  const c10::InferenceMode inference;
  std::vector<torch::Tensor> mean, logvar, mirrored_mean, mirrored_logvar;
  const auto encode = [&](const torch::Tensor& part, std::vector<torch::Tensor>& means,
                          std::vector<torch::Tensor>& logs) {
    const LatentMoments latents = autoencoder->encode(part.to(device));
    means.push_back(latents.mean.to(torch::kCPU));
    logs.push_back(latents.logvar.to(torch::kCPU));
    poll();
  };
  const torch::Tensor one = images(0, 1);
  const std::int64_t step =
      std::clamp<std::int64_t>(kPixelsAtOnce / (one.size(2) * one.size(3)), 1, kImagesAtOnce);  // what fits
  for (std::int64_t first = 0; first < count; first += step) {
    const torch::Tensor part = images(first, std::min(step, count - first));
    encode(part, mean, logvar);
    if (mirrored) encode(part.flip({3}), mirrored_mean, mirrored_logvar);
  }
  LatentTable table;
  table.scale = autoencoder->config().scaling_factor;
  table.mean = torch::cat(mean).contiguous();
  table.logvar = torch::cat(logvar).contiguous();
  if (mirrored) {
    table.mirrored_mean = torch::cat(mirrored_mean).contiguous();
    table.mirrored_logvar = torch::cat(mirrored_logvar).contiguous();
  }
  return table;
}

LatentTable encode_images(AutoencoderKL& autoencoder, const torch::Tensor& images, bool mirrored, torch::Device device,
                          const std::function<void()>& poll) {
  const ImagesAt part = [&](std::int64_t first, std::int64_t count) { return images.narrow(0, first, count); };
  return encode_images(autoencoder, part, images.size(0), mirrored, device, poll);
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
