#include "worker/cuda/launch.cuh"
#include "worker/cuda/optimizer.cuh"

namespace guda::worker::cuda {

void adamw(const Piece* pieces, std::int64_t count, const AdamWStep& step, double clip, double* scratch,
           StreamHandle stream) {
  if (count == 0) return;
  const auto blocks = static_cast<unsigned>(count);
  if (clip > 0) {
    sum_of_squares_kernel<<<blocks, kPieceThreads, 0, stream>>>(pieces, scratch);
    clip_factor_kernel<<<1, kPieceThreads, 0, stream>>>(scratch, count, clip);
  }
  adamw_kernel<<<blocks, kPieceThreads, 0, stream>>>(pieces, step, clip > 0 ? scratch + count : nullptr);
  check_launch("adamw");
}

}  // namespace guda::worker::cuda
