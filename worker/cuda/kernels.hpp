#pragma once
// What our GPU kernels compute, torch-free: raw pointers into device memory and a stream. Every call only queues work
// and returns; it throws std::runtime_error("CUDA error: ...") when the launch is refused (what the work itself does
// wrong shows at a later call, as ever with CUDA). Compiled by nvcc with -fmad=false for every architecture in one go
// (worker/cuda.cmake); sums have a fixed order, so bits depend on the shapes and on nothing else. Thread-safe.
// Tests run the same kernels on a CPU (tests/support/cuda_on_cpu.hpp).
#include <cstdint>

struct CUstream_st;

namespace guda::worker::cuda {

using StreamHandle = CUstream_st*;  ///< cudaStream_t

/// Types of activations and weights; sums are float32 or better.
enum class Number : std::uint8_t { float32, bfloat16 };

// ---- noise (diffusion/noise.hpp has the definition) ---------------------------------------------------------------

/// What makes one row of a batch, on the device.
struct NoisedRow {
  std::uint64_t query_id;
  std::uint32_t slot;   ///< timestep << 16 | draw
  std::uint32_t image;  ///< row of the clean images
  float scale, spread;  ///< x_t = scale x_0 + spread sign noise
  float sign;           ///< 1, or -1 for the other half of an antithetic pair
  std::uint32_t place;  ///< where its result goes, kNowhere for a row that only fills the batch
};
static_assert(sizeof(NoisedRow) == 32);
inline constexpr std::uint32_t kNowhere = 0xFFFFFFFFU;

/// out[i] = standard normal i of (seed, query_id, slot), the bits of fill_normal().
void fill_normal(std::uint64_t seed, std::uint64_t query_id, std::uint32_t slot, std::int64_t n, float* out,
                 StreamHandle stream);

/// out [rows, size]: the noise of every row, times its sign. At most 65,535 rows.
void fill_rows(std::uint64_t seed, const NoisedRow* rows, std::int64_t count, std::int64_t size, float* out,
               StreamHandle stream);

/// What a model is given of every row: x_t [rows, size] of the clean images [., size], its timestep and the number of
/// its image, int64 [rows], and its levels gamma (scale) and sigma (spread), float32 [rows].
struct RowInputs {
  float* x_t;
  std::int64_t *timesteps, *images;
  float *gamma, *sigma;
};
void noised_rows(std::uint64_t seed, const NoisedRow* rows, std::int64_t count, std::int64_t size, const float* clean,
                 const RowInputs& out, StreamHandle stream);

/// Where element (channel, pixel) of a row lies in memory; rows follow each other.
struct RowLayout {
  std::int64_t channels, pixels, channel_stride, pixel_stride;
};

/// results[place of row i] = sum over elements of (noise - predicted)^2, in float64 and rounded once. The noise is made
/// in the kernel. predicted: [rows, channels x pixels] in `layout`.
void squared_errors(std::uint64_t seed, const NoisedRow* rows, std::int64_t count, const void* predicted, Number type,
                    const RowLayout& layout, float* results, StreamHandle stream);

// ---- training images ----------------------------------------------------------------------------------------------

/// value[b]: what the pixel b stands for.
struct PixelValues {
  float value[256];
};

/// out [count, channels, height, width] of uint8 images [., channels, height, width]: number items[i] of them, mirrored
/// left to right where flips[i] is not 0 (flips null: none).
void gather_images(const std::uint8_t* images, const std::int64_t* items, const std::uint8_t* flips, std::int64_t count,
                   std::int64_t lines, std::int64_t width, const PixelValues& values, float* out, StreamHandle stream);

// ---- GroupNorm followed by an optional SiLU, channels last
// -----------------------------------------------------------

struct NormShape {
  std::int64_t batch, pixels, channels, groups;
  float eps;
  bool silu;
};

/// Whether the kernels take the shape; x, y, dx and dy must then be dense [batch, pixels, channels].
[[nodiscard]] bool takes(const NormShape& shape);

/// y = silu(norm(x) gamma + beta), or without silu; mean and rstd float32 [batch, groups] are written for the backward
/// pass. gamma, beta [channels] are of x's type.
void group_norm_forward(const NormShape& shape, Number type, const void* x, const void* gamma, const void* beta,
                        void* y, float* mean, float* rstd, StreamHandle stream);

/// dx is written, and of every image its part of the gradients of gamma and beta: float32 partial [batch, 2, channels],
/// to be added up over images.
void group_norm_backward(const NormShape& shape, Number type, const void* x, const void* gamma, const void* beta,
                         const float* mean, const float* rstd, const void* dy, void* dx, float* partial,
                         StreamHandle stream);

// ---- AdamW over many tensors at once (training/optimizer.hpp)
// ---------------------------------------------------------

/// A piece of a parameter and of what belongs to it; pieces are at most kPiece numbers.
struct Piece {
  const float* gradient;  ///< where `half` is null
  float *parameter, *first, *second;
  float* average;                      ///< of the EMA; null: none
  std::uint16_t* half;                 ///< bfloat16 copy of the parameter that the network computes with; null: none
  const std::uint16_t* half_gradient;  ///< bfloat16, where `half` is given
  std::int64_t count;
};
inline constexpr std::int64_t kPiece = 1 << 16;

/// As kernels::AdamWStep, without the scale of the gradient.
struct AdamWStep {
  float eps, new_first, beta2, new_second, kept, size, second_scale;
  float average_weight;  ///< average += weight (parameter - average), exactly the parameter at 1
};

/// Of `pieces` on the device. With clip > 0 gradients are first scaled by min(1, clip / (their norm + 1e-6)).
/// scratch: float64 [pieces + 1] on the device. Three launches.
void adamw(const Piece* pieces, std::int64_t count, const AdamWStep& step, double clip, double* scratch,
           StreamHandle stream);

}  // namespace guda::worker::cuda
