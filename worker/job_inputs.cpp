#include "worker/job_inputs.hpp"

#include <limits>
#include <variant>

#include "worker/artifacts.hpp"

namespace guda::worker {

std::filesystem::path JobInputs::artifact(const Digest& digest) {
  const std::filesystem::path source = find_artifact(context_.artifact_folders, digest);
  if (context_.cache == nullptr) return source;
  const auto waiting = [this] { context_.progress({0, 1, std::numeric_limits<double>::quiet_NaN()}); };
  held_.push_back(context_.cache->artifact(source, digest, waiting));
  return held_.back().path();
}

Denoiser JobInputs::model(const Digest& weights) {
  return models().get(weights, device_, [&] { return load_denoiser(artifact(weights)); });
}

void JobInputs::load_next_ahead(const Digest& weights) {
  if (context_.models == nullptr || !context_.next) return;
  const auto* next = std::get_if<jobs::ScoreSpec>(&context_.plan.jobs.at(*context_.next).work);
  if (next == nullptr || next->weights == weights) return;
  context_.models->prefetch(
      next->weights, device_,
      [folders = context_.artifact_folders, cache = context_.cache, ahead = next->weights]() -> Denoiser {
        const std::filesystem::path source = find_artifact(folders, ahead);
        if (cache == nullptr) return load_denoiser(source);
        const NodeCache::Entry entry = cache->artifact(source, ahead);
        return load_denoiser(entry.path());
      });
}

}  // namespace guda::worker
