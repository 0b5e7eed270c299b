#pragma once
// Artifacts of jobs as folders named by digest: finding, publishing, and models kept in memory.
#include <torch/torch.h>

#include <cstddef>
#include <filesystem>
#include <functional>
#include <list>
#include <vector>

#include "common/digest.hpp"
#include "common/json.hpp"
#include "worker/models/denoiser.hpp"

namespace guda::worker {

/// The folder of an artifact, first match in the order of `folders`. Throws IoError (retried: a network file system may
/// show it later) naming the digest and where it was looked for.
[[nodiscard]] std::filesystem::path find_artifact(const std::vector<std::filesystem::path>& folders,
                                                  const Digest& digest);

/// Publishes what `save` writes into a folder, with `provenance` as guda.json, under folders[0]/<digest>.
void publish_weights(const std::vector<std::filesystem::path>& folders, const Digest& digest,
                     const std::function<void(const std::filesystem::path&)>& save, const Json& provenance);

/// Models in evaluation mode, the last few that were used. Not thread-safe.
class ModelCache {
 public:
  explicit ModelCache(std::size_t capacity) : capacity_(capacity) {}
  /// The model stored in `folder` on `device`; loaded when it is not at hand. Callers must not change it.
  [[nodiscard]] Denoiser get(const std::filesystem::path& folder, torch::Device device);

 private:
  struct Entry {
    std::filesystem::path folder;
    torch::Device device;
    Denoiser model;
  };
  std::size_t capacity_;
  std::list<Entry> entries_;  ///< most recently used first
};

}  // namespace guda::worker
