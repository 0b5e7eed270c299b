#pragma once
// Artifacts of jobs as folders named by digest: finding and publishing.
#include <filesystem>
#include <functional>
#include <vector>

#include "common/digest.hpp"
#include "common/json.hpp"

namespace guda::worker {

/// The folder of an artifact, first match in the order of `folders`. Throws IoError (retried: a network file system may
/// show it later) naming the digest and where it was looked for.
[[nodiscard]] std::filesystem::path find_artifact(const std::vector<std::filesystem::path>& folders,
                                                  const Digest& digest);

/// Publishes what `save` writes into a folder, with `provenance` as guda.json, under folders[0]/<digest>.
void publish_weights(const std::vector<std::filesystem::path>& folders, const Digest& digest,
                     const std::function<void(const std::filesystem::path&)>& save, const Json& provenance);

}  // namespace guda::worker
