#include "worker/cuda/launch.cuh"
#include "worker/cuda/noise.cuh"

namespace guda::worker::cuda {

void fill_normal(std::uint64_t seed, std::uint64_t query_id, std::uint32_t slot, std::int64_t n, float* out,
                 StreamHandle stream) {
  if (n == 0) return;
  fill_normal_kernel<<<blocks_for(n, 4 * kNoiseThreads), kNoiseThreads, 0, stream>>>(
      normal::stream_of(seed, query_id, slot), n, out);
  check_launch("fill_normal");
}

void fill_rows(std::uint64_t seed, const NoisedRow* rows, std::int64_t count, std::int64_t size, float* out,
               StreamHandle stream) {
  if (count == 0 || size == 0) return;
  require_rows(count);
  const dim3 grid(blocks_for(size, 4 * kNoiseThreads), static_cast<unsigned>(count));
  fill_rows_kernel<<<grid, kNoiseThreads, 0, stream>>>(seed, rows, size, out);
  check_launch("fill_rows");
}

void noised_rows(std::uint64_t seed, const NoisedRow* rows, std::int64_t count, std::int64_t size, const float* clean,
                 const RowInputs& out, StreamHandle stream) {
  if (count == 0 || size == 0) return;
  require_rows(count);
  const dim3 grid(blocks_for(size, 4 * kNoiseThreads), static_cast<unsigned>(count));
  noised_rows_kernel<<<grid, kNoiseThreads, 0, stream>>>(seed, rows, size, clean, out);
  check_launch("noised_rows");
}

void squared_errors(std::uint64_t seed, const NoisedRow* rows, std::int64_t count, const void* predicted, Number type,
                    const RowLayout& layout, float* results, StreamHandle stream) {
  if (count == 0) return;
  const auto blocks = static_cast<unsigned>(count);
  if (type == Number::float32) {
    squared_errors_kernel<float>
        <<<blocks, kNoiseThreads, 0, stream>>>(seed, rows, static_cast<const float*>(predicted), layout, results);
  } else {
    squared_errors_kernel<Bf16>
        <<<blocks, kNoiseThreads, 0, stream>>>(seed, rows, static_cast<const Bf16*>(predicted), layout, results);
  }
  check_launch("squared_errors");
}

}  // namespace guda::worker::cuda
