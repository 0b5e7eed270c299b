#include "worker/artifacts.hpp"

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda::worker {
namespace fs = std::filesystem;

fs::path find_artifact(const std::vector<fs::path>& folders, const Digest& digest) {
  std::string searched;
  for (const fs::path& folder : folders) {
    std::error_code ignored;
    const fs::path artifact = folder / digest.hex;
    if (!digest.empty() && fs::is_directory(artifact, ignored)) return artifact;
    searched += (searched.empty() ? "" : ", ") + folder.string();
  }
  throw IoError("the artifact " + digest.hex + " is in none of: " + searched +
                " (was it removed? run the same command again)");
}

void publish_weights(const std::vector<fs::path>& folders, const Digest& digest,
                     const std::function<void(const fs::path&)>& save, const Json& provenance) {
  publish_directory(folders.at(0) / digest.hex, [&](const fs::path& partial) {
    save(partial);
    replace_file(partial / "guda.json", provenance.dump(1) + "\n", false);
  });
}

}  // namespace guda::worker
