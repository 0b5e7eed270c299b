#include "worker/cuda/group_norm.cuh"
#include "worker/cuda/launch.cuh"

namespace guda::worker::cuda {
namespace {

/// Numbers that a thread loads at once: 16 bytes of float32, 8 of bfloat16.
int vector_of(const NormShape& shape) { return shape.channels % 4 == 0 ? 4 : 1; }

/// Calls run.operator()<T, V>(grid, channels of a slab) for the type and the shape.
template <class Run>
void dispatch(const NormShape& shape, Number type, const Run& run) {
  if (shape.batch == 0 || shape.pixels == 0) return;
  require_rows(shape.batch);
  const int vector = vector_of(shape), slab = slab_of(shape, vector);
  const dim3 grid(blocks_for(shape.channels, slab), static_cast<unsigned>(shape.batch));
  if (type == Number::float32) {
    vector == 4 ? run.template operator()<float, 4>(grid, slab) : run.template operator()<float, 1>(grid, slab);
  } else {
    vector == 4 ? run.template operator()<Bf16, 4>(grid, slab) : run.template operator()<Bf16, 1>(grid, slab);
  }
}

}  // namespace

bool takes(const NormShape& shape) {
  if (shape.groups < 1 || shape.channels % shape.groups != 0 || shape.batch > kMostRows) return false;
  const int vector = vector_of(shape), slab = slab_of(shape, vector);
  return slab <= kSlabMost && slab / vector <= kNormThreads;
}

void group_norm_forward(const NormShape& shape, Number type, const void* x, const void* gamma, const void* beta,
                        void* y, float* mean, float* rstd, StreamHandle stream) {
  dispatch(shape, type, [&]<class T, int V>(dim3 grid, int slab) {
    group_norm_forward_kernel<T, V>
        <<<grid, kNormThreads, 0, stream>>>(shape, slab, static_cast<const T*>(x), static_cast<const T*>(gamma),
                                            static_cast<const T*>(beta), static_cast<T*>(y), mean, rstd);
  });
  check_launch("group_norm_forward");
}

void group_norm_backward(const NormShape& shape, Number type, const void* x, const void* gamma, const void* beta,
                         const float* mean, const float* rstd, const void* dy, void* dx, float* partial,
                         StreamHandle stream) {
  dispatch(shape, type, [&]<class T, int V>(dim3 grid, int slab) {
    group_norm_backward_kernel<T, V><<<grid, kNormThreads, 0, stream>>>(
        shape, slab, static_cast<const T*>(x), static_cast<const T*>(gamma), static_cast<const T*>(beta), mean, rstd,
        static_cast<const T*>(dy), static_cast<T*>(dx), partial);
  });
  check_launch("group_norm_backward");
}

}  // namespace guda::worker::cuda
