#include "worker/cuda/images.cuh"
#include "worker/cuda/launch.cuh"

namespace guda::worker::cuda {

void gather_images(const std::uint8_t* images, const std::int64_t* items, const std::uint8_t* flips, std::int64_t count,
                   std::int64_t lines, std::int64_t width, const PixelValues& values, float* out, StreamHandle stream) {
  if (count == 0) return;
  require_rows(count);
  const dim3 grid(blocks_for(lines * width, kImageThreads), static_cast<unsigned>(count));
  gather_images_kernel<<<grid, kImageThreads, 0, stream>>>(images, items, flips, lines, width, values, out);
  check_launch("gather_images");
}

}  // namespace guda::worker::cuda
