#pragma once
// The arithmetic of small diffusion UNets on a CPU, torch-free: convolutions and GroupNorm + SiLU on channels-last
// float32 images, attention with narrow heads, dropout and the optimizer. Every source of this folder's set is compiled
// once per instruction set (avx512, avx2, baseline: the names of common/cpu.hpp) and the table of the running processor
// is used, so that one binary is fast everywhere. Bits depend on the instruction set and on nothing else: not on the
// batch, nor on how images are spread over threads.
#include <cstdint>
#include <span>

namespace guda::worker::kernels {

/// A 3x3 convolution with padding 1 (stride 1 or 2, or of the input enlarged twofold by nearest neighbour), or a 1x1
/// one.
struct ConvShape {
  std::int64_t in, out;        ///< channels
  std::int64_t height, width;  ///< of the input, before it is enlarged
  int kernel = 3;              ///< 1 or 3
  int stride = 1;              ///< 1 or 2 (kernel 3)
  bool enlarge = false;        ///< nearest neighbour x2 first (kernel 3, stride 1)

  [[nodiscard]] std::int64_t out_height() const { return enlarge ? 2 * height : (height - 1) / stride + 1; }
  [[nodiscard]] std::int64_t out_width() const { return enlarge ? 2 * width : (width - 1) / stride + 1; }
};

// Wide convolutions: many channels, few images (Kernels::wide_points and wide_outputs).
inline constexpr std::int64_t kWidePanel = 32;  ///< output channels are a multiple of it, input channels of half of it
inline constexpr std::int64_t kWideTiles = 8;   ///< a chunk of tiles is filled up to a multiple of it
/// Tiles of 4x4 outputs in an image.
[[nodiscard]] inline std::int64_t wide_tiles(const ConvShape& s) {
  return (s.out_height() + 3) / 4 * ((s.out_width() + 3) / 4);
}
/// Floats of the points of a chunk of tiles.
[[nodiscard]] inline std::int64_t wide_points_size(const ConvShape& s, std::int64_t tiles) {
  return 36 * ((tiles + kWideTiles - 1) / kWideTiles * kWideTiles * s.in + 16);
}

inline constexpr std::int64_t kMaxNormChannels = 4096;

struct GroupNormShape {
  std::int64_t batch, pixels, channels, groups;  ///< at most kMaxNormChannels channels
  float eps;
  bool silu;
};

inline constexpr std::int64_t kDropoutBlock = 128;

struct AttentionShape {
  std::int64_t batch, queries, keys, heads;  ///< tokens of an image on either side
  std::int64_t head_channels;                ///< 8 or 16; attention_wide: any
  float scale;                               ///< of the scores
};

/// What an AdamW step is for every parameter alike; gradients are multiplied by gradient_scale first.
struct AdamWStep {
  float gradient_scale, eps;
  float new_first;          ///< 1 - beta1, subtracted in float64
  float beta2, new_second;  ///< and 1 - beta2
  float kept;               ///< 1 - learning rate times weight decay
  float size;               ///< learning rate / (1 - beta1^step)
  float second_scale;       ///< 1 / sqrt(1 - beta2^step)
};

/// Images are [n, height, width, channels], weights [out, in, kernel, kernel]. Nothing may overlap. Thread-safe.
struct Kernels {
  const char* isa;

  /// y = convolution(x) + bias[out] + shift[n, out] + residual (like y); each of the three may be null.
  void (*conv_forward)(const ConvShape& shape, std::int64_t images, const float* x, const float* weight,
                       const float* bias, const float* shift, const float* residual, float* y);
  /// conv_forward of a 3x3 window, stride 1, in chunks of `tiles` tiles from tile `first` on (of all images one behind
  /// the other), in two phases that threads can share. First the tiles [begin, end) of the chunk go to the points ...
  void (*wide_points)(const ConvShape& shape, const float* x, std::int64_t first, std::int64_t begin, std::int64_t end,
                      std::int64_t tiles, float* points);
  /// ... then the panels [begin, end) of output channels are computed from the points of all of them.
  void (*wide_outputs)(const ConvShape& shape, const float* points, std::int64_t first, std::int64_t tiles,
                       const float* weight, const float* bias, const float* shift, const float* residual,
                       std::int64_t begin, std::int64_t end, float* y);

  /// dx is written.
  void (*conv_backward_input)(const ConvShape& shape, std::int64_t images, const float* weight, const float* dy,
                              float* dx);
  /// dweight is added to; dshift [n, out] (the sum of dy over pixels) is written.
  void (*conv_backward_weight)(const ConvShape& shape, std::int64_t images, const float* x, const float* dy,
                               float* dweight, float* dshift);

  /// x, y [batch, pixels, channels]; gamma, beta [channels]; mean, rstd [batch, groups] are written for the backward
  /// pass.
  void (*group_norm_forward)(const GroupNormShape& shape, const float* x, const float* gamma, const float* beta,
                             float* y, float* mean, float* rstd);
  /// dx is written; dgamma and dbeta [channels] are added to.
  void (*group_norm_backward)(const GroupNormShape& shape, const float* x, const float* gamma, const float* beta,
                              const float* mean, const float* rstd, const float* dy, float* dx, float* dgamma,
                              float* dbeta);

  /// out = softmax(scale q k^T) v in each head; q, out [batch, queries, heads, channels], k, v [batch, keys, heads,
  /// channels]. log_sum [batch, heads, queries] is written for the backward pass.
  void (*attention_forward)(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out,
                            float* log_sum);
  /// attention_forward of the heads [begin, end), those of all images one behind the other.
  void (*attention_wide)(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out,
                         float* log_sum, std::int64_t begin, std::int64_t end);
  /// dq, dk and dv are written.
  void (*attention_backward)(const AttentionShape& shape, const float* q, const float* k, const float* v,
                             const float* out, const float* log_sum, const float* dout, float* dq, float* dk,
                             float* dv);

  /// y[i] = 0 with probability dropped / 65536 (dropped below 65536), else x[i] 65536 / (65536 - dropped), for the
  /// numbers first .. first + n - 1 of a tensor, whose fate is a function of the key and their position; `first` a
  /// multiple of kDropoutBlock.
  void (*dropout)(std::uint64_t key, std::uint32_t dropped, std::int64_t first, std::int64_t n, const float* x,
                  float* y);

  /// In float64, of short sums in float32.
  double (*sum_of_squares)(std::int64_t n, const float* x);
  /// parameter, first and second moment are updated.
  void (*adamw)(const AdamWStep& step, std::int64_t n, const float* gradient, float* parameter, float* first,
                float* second);
  /// average += weight (target - average), exactly the target at weight 1.
  void (*move_towards)(float weight, std::int64_t n, const float* target, float* average);
};

/// The fastest set that this processor can run.
[[nodiscard]] const Kernels& kernels();

/// Every set that this processor can run, fastest first.
[[nodiscard]] std::span<const Kernels* const> usable_kernels();

}  // namespace guda::worker::kernels
