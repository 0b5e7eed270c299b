#include "orchestrator/artifact_pictures.hpp"

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/npy.hpp"

namespace guda::orchestrator {

std::vector<report::Picture> pictures_of(const std::vector<std::filesystem::path>& folders, const Digest& artifact) {
  for (const auto& folder : folders) {
    const auto file = folder / artifact.hex / "queries.npy";
    if (!std::filesystem::exists(file)) continue;
    const NpyArray array = read_npy(file);
    if (array.shape.size() != 4) throw Error(file.string() + " holds no pictures [N, C, H, W]");
    const auto& values = std::get<std::vector<float>>(array.values);
    std::vector<report::Picture> pictures;
    const std::size_t size = array.shape[1] * array.shape[2] * array.shape[3];
    for (std::size_t i = 0; i < array.shape[0]; ++i) {
      report::Picture p{static_cast<std::uint32_t>(array.shape[1]),
                        static_cast<std::uint32_t>(array.shape[2]),
                        static_cast<std::uint32_t>(array.shape[3]),
                        256,
                        {}};
      for (std::size_t k = 0; k < size; ++k) {
        p.pixels.push_back(
            static_cast<std::uint8_t>(std::lround(std::clamp((values[i * size + k] + 1) / 2, 0.0F, 1.0F) * 255)));
      }
      pictures.push_back(std::move(p));
    }
    return pictures;
  }
  return {};
}

}  // namespace guda::orchestrator
