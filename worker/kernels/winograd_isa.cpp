// An image is cut into tiles of 4x4 outputs that each read 6x6 inputs. Tiles and weights go to 36 points, where the
// convolution is 36 products of matrices [tile, channel]; sums over channels come back as outputs. The gradient of the
// weights is the transpose of the same steps.
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/scratch.hpp"
#include "worker/kernels/sets.hpp"
#include "worker/kernels/winograd.hpp"
#include "worker/kernels/winograd_steps.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kTiles = kLanes == 16 ? 8 : 4;  // of a register block
constexpr std::int64_t kTogether = 32;                 // tiles whose points are multiplied while they are in the cache
// Floats from one point to the next beyond what it needs: a tile touches all 36 points, which a stride of 4 KiB (32
// channels) would crowd into one set of the first-level cache.
constexpr std::int64_t kApart = 16;

/// Where the tiles of some images lie.
struct Tiling {
  std::int64_t height, width, rows, columns, per_image, group;

  explicit Tiling(const ConvShape& s)
      : height(s.height),
        width(s.width),
        rows((height + kTile - 1) / kTile),
        columns((width + kTile - 1) / kTile),
        per_image(rows * columns),
        group(per_image >= kTogether ? 1 : kTogether / per_image) {}
  struct Place {
    std::int64_t image, row, column;  // of the first output
  };
  [[nodiscard]] Place place(std::int64_t tile) const {
    const std::int64_t inside = tile % per_image;
    return {tile / per_image, inside / columns * kTile, inside % columns * kTile};
  }
};

/// Images within zeros: a border of one pixel, and what the last tiles reach beyond.
class Padded {
 public:
  Padded(const Tiling& tiling, std::int64_t channels)
      : tiling_(tiling),
        channels_(channels),
        row_((tiling.columns * kTile + 2) * channels),
        image_((tiling.rows * kTile + 2) * row_),
        memory_(tiling.group * image_) {
    clear(memory_, tiling.group * image_);
  }
  void take(const float* images, std::int64_t count) {
    for (std::int64_t n = 0; n < count; ++n) {
      for (std::int64_t y = 0; y < tiling_.height; ++y) {
        copy(memory_ + n * image_ + (y + 1) * row_ + channels_,
             images + (n * tiling_.height + y) * tiling_.width * channels_, tiling_.width * channels_);
      }
    }
  }
  /// [point][tile][channel, padded] of `count` tiles.
  void to_points(std::int64_t first, std::int64_t count, std::int64_t padded, std::int64_t point_stride,
                 float* points) const {
    for (std::int64_t t = 0; t < count; ++t) {
      const Tiling::Place at = tiling_.place(first + t);
      const float* const corner = memory_ + at.image * image_ + at.row * row_ + at.column * channels_;
      for (std::int64_t c = 0; c < channels_; c += kLanes) {
        float* const to = points + t * padded + c;
        const auto write = [=](int py, int px, Lanes v)
                               __attribute__((always_inline)) { store(to + (py * kSide + px) * point_stride, v); };
        const float* const from = corner + c;
        if (c + kLanes <= channels_) {
          both_axes<6, 6>(
              inputs_to_points,
              [=, this](int py, int px)
                  __attribute__((always_inline)) { return load(from + py * row_ + px * channels_); },
              write);
        } else {
          both_axes<6, 6>(
              inputs_to_points,
              [=, this](int py, int px) __attribute__((always_inline)) {
                return load_part(from + py * row_ + px * channels_, channels_ - c);
              },
              write);
        }
      }
    }
  }

 private:
  const Tiling& tiling_;
  std::int64_t channels_, row_, image_;
  Scratch<float> memory_;
};

/// [point][from][to, padded], points `stride` apart.
void weights_at_points(const ConvShape& s, bool forward, const float* weight, std::int64_t stride, float* points) {
  const std::int64_t from = forward ? s.in : s.out, to = forward ? s.out : s.in, padded = round_up(to, kLanes);
  const std::int64_t from_step = forward ? kTaps : s.in * kTaps, to_step = forward ? s.in * kTaps : kTaps;
  const Scratch<float> taps(kTaps * padded);
  clear(taps, kTaps * padded);
  for (std::int64_t i = 0; i < from; ++i) {
    for (std::int64_t o = 0; o < to; ++o) {
      const float* const w = weight + i * from_step + o * to_step;
      // The transpose runs over the window backwards.
      for (std::int64_t k = 0; k < kTaps; ++k) taps[k * padded + o] = w[forward ? k : kTaps - 1 - k];
    }
    for (std::int64_t o = 0; o < padded; o += kLanes) {
      Lanes half[6][3];
      for (int x = 0; x < 3; ++x) {
        const Lanes in[3] = {load(taps + x * padded + o), load(taps + (3 + x) * padded + o),
                             load(taps + (6 + x) * padded + o)};
        Lanes out[6];
        weights_to_points(in, out);
        for (int y = 0; y < 6; ++y) half[y][x] = out[y];
      }
      for (int y = 0; y < 6; ++y) {
        Lanes out[6];
        weights_to_points(half[y], out);
        for (int x = 0; x < 6; ++x) store(points + (y * kSide + x) * stride + i * padded + o, out[x]);
      }
    }
  }
}

/// kTiles tiles [tile][inner] times V vectors of [inner][channel].
template <int V>
GUDA_BLOCK void multiply(const float* tiles, std::int64_t tile_step, const float* weight, std::int64_t padded,
                         std::int64_t inner, float* products) {
  Lanes sum[kTiles][V];
  GUDA_UNROLL for (int t = 0; t < kTiles; ++t) { GUDA_UNROLL for (int v = 0; v < V; ++v) sum[t][v] = Lanes{}; }
  const float* tile[kTiles];
  for (int t = 0; t < kTiles; ++t) tile[t] = tiles + t * tile_step;
  for (std::int64_t i = 0; i < inner; ++i, weight += padded) {
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = load(weight + v * kLanes);
    for (int t = 0; t < kTiles; ++t) {
      const float value = tile[t][i];
      for (int v = 0; v < V; ++v) sum[t][v] += row[v] * value;
    }
  }
  GUDA_UNROLL for (int t = 0; t < kTiles; ++t) {
    GUDA_UNROLL for (int v = 0; v < V; ++v) store(products + t * padded + v * kLanes, sum[t][v]);
  }
}

/// x^T dy over tiles for J input channels times V vectors of output channels, added to what there is or in its place.
template <int J, int V>
GUDA_BLOCK void multiply_transposed(const float* x, std::int64_t x_step, const float* dy, std::int64_t dy_step,
                                    std::int64_t tiles, bool added, float* gradient) {
  Lanes sum[J][V] = {};
  for (int j = 0; added && j < J; ++j) {
    for (int v = 0; v < V; ++v) sum[j][v] = load(gradient + j * dy_step + v * kLanes);
  }
  for (std::int64_t t = 0; t < tiles; ++t, x += x_step, dy += dy_step) {
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = load(dy + v * kLanes);
    for (int j = 0; j < J; ++j) {
      for (int v = 0; v < V; ++v) sum[j][v] += row[v] * x[j];
    }
  }
  for (int j = 0; j < J; ++j) {
    for (int v = 0; v < V; ++v) store(gradient + j * dy_step + v * kLanes, sum[j][v]);
  }
}

/// A tile's outputs from its points, with what is added: `base` [channel, padded], `residual` like y or null.
GUDA_INLINE void finish_tile(const Tiling& tiling, const Tiling::Place& tile, std::int64_t channels,
                             const float* points, std::int64_t point_stride, const float* base, const float* residual,
                             float* y) {
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    const Lanes added = load(base + c);
    const std::int64_t left = channels - c;
    Lanes half[4][6];
    for (int x = 0; x < 6; ++x) {
      Lanes in[6], out[4];
      for (int p = 0; p < 6; ++p) in[p] = load(points + (p * kSide + x) * point_stride + c);
      points_to_outputs(in, out);
      for (int p = 0; p < 4; ++p) half[p][x] = out[p];
    }
    for (std::int64_t py = 0; py < kTile && tile.row + py < tiling.height; ++py) {
      Lanes out[4];
      points_to_outputs(half[py], out);
      for (std::int64_t px = 0; px < kTile && tile.column + px < tiling.width; ++px) {
        const std::int64_t at = ((tile.row + py) * tiling.width + tile.column + px) * channels + c;
        Lanes value = out[px] + added;
        if (left >= kLanes) {
          store(y + at, residual != nullptr ? value + load(residual + at) : value);
        } else {
          store_part(y + at, residual != nullptr ? value + load_part(residual + at, left) : value, left);
        }
      }
    }
  }
}

/// The gradient of a tile's outputs at its points: [point][channel, padded].
GUDA_INLINE void gradient_to_points(const Tiling& tiling, const Tiling::Place& tile, std::int64_t channels,
                                    const float* dy, std::int64_t point_stride, float* points) {
  const std::int64_t row_step = tiling.width * channels;
  const float* const corner = dy + tile.row * row_step + tile.column * channels;
  const std::int64_t rows = tiling.height - tile.row, columns = tiling.width - tile.column;
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    const auto to_points = [&](auto get) __attribute__((always_inline)) {
      both_axes<4, 6>(
          outputs_to_points,
          [&](int y, int x)
              __attribute__((always_inline)) { return get(y, x, corner + y * row_step + x * channels + c); },
          [=](int y, int x, Lanes v)
              __attribute__((always_inline)) { store(points + (y * kSide + x) * point_stride + c, v); });
    };
    const std::int64_t left = channels - c;
    if (rows < kTile || columns < kTile) {
      to_points([&](int y, int x, const float* at) __attribute__((always_inline)) {
        return y >= rows || x >= columns ? Lanes{} : left >= kLanes ? load(at) : load_part(at, left);
      });
    } else if (left >= kLanes) {
      to_points([](int, int, const float* at) __attribute__((always_inline)) { return load(at); });
    } else {
      to_points([=](int, int, const float* at) __attribute__((always_inline)) { return load_part(at, left); });
    }
  }
}

}  // namespace

bool winograd_pays(const ConvShape& s) {
  const Tiling tiling(s);
  return s.kernel == 3 && s.stride == 1 && !s.enlarge && s.in >= kLanes / 2 && s.out >= kLanes / 2 &&
         2 * tiling.per_image * kPoints <= kTaps * s.height * s.width;
}

void winograd_convolve(const ConvShape& s, bool forward, std::int64_t images, const float* x, const float* weight,
                       const float* bias, const float* shift, const float* residual, float* y) {
  const std::int64_t from = forward ? s.in : s.out, to = forward ? s.out : s.in;
  const std::int64_t from_padded = round_up(from, kLanes), padded = round_up(to, kLanes);
  const Tiling tiling(s);
  const std::int64_t pixels = s.height * s.width, from_stride = kTogether * from_padded + kApart,
                     to_stride = kTogether * padded + kApart;
  const std::int64_t matrix = from * padded + kApart;
  const Scratch<float> weights(kPoints * matrix), points(kPoints * from_stride), products(kPoints * to_stride),
      base(tiling.group * padded);
  weights_at_points(s, forward, weight, matrix, weights);
  if (tiling.group * tiling.per_image % kTiles != 0 || images % tiling.group != 0)
    clear(points, kPoints * from_stride);  // tiles that only fill a register block
  clear(base, tiling.group * padded);
  Padded padded_images(tiling, from);
  for (std::int64_t n = 0; n < images; n += tiling.group) {
    const std::int64_t count = images - n < tiling.group ? images - n : tiling.group;
    padded_images.take(x + n * pixels * from, count);
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t c = 0; c < to; ++c) {
        base[i * padded + c] = (bias != nullptr ? bias[c] : 0) + (shift != nullptr ? shift[(n + i) * to + c] : 0);
      }
    }
    const float* const kept = residual != nullptr ? residual + n * pixels * to : nullptr;
    const std::int64_t tiles = count * tiling.per_image;
    for (std::int64_t first = 0; first < tiles; first += kTogether) {
      const std::int64_t together = tiles - first < kTogether ? tiles - first : kTogether;
      padded_images.to_points(first, together, from_padded, from_stride, points);
      for (std::int64_t p = 0; p < kPoints; ++p) {
        const float *const in = points + p * from_stride, *const w = weights + p * matrix;
        float* const out = products + p * to_stride;
        over_vectors(padded, [&]<int V>(std::int64_t c) __attribute__((always_inline)) {
          for (std::int64_t t = 0; t < together; t += kTiles)
            multiply<V>(in + t * from_padded, from_padded, w + c, padded, from, out + t * padded + c);
        });
      }
      for (std::int64_t t = 0; t < together; ++t) {
        const Tiling::Place at = tiling.place(first + t);
        const std::int64_t image = at.image * pixels * to;
        finish_tile(tiling, at, to, products + t * padded, to_stride, base + at.image * padded,
                    kept != nullptr ? kept + image : nullptr, y + n * pixels * to + image);
      }
    }
  }
}

void winograd_backward_weight(const ConvShape& s, std::int64_t images, const float* x, const float* dy,
                              float* dweight) {
  const std::int64_t in_padded = round_up(s.in, 2 * kTiles), padded = round_up(s.out, kLanes);
  const Tiling tiling(s);
  const std::int64_t pixels = s.height * s.width, matrix = in_padded * padded + kApart;
  const std::int64_t x_stride = kTogether * in_padded + kApart, dy_stride = kTogether * padded + kApart;
  const Scratch<float> points(kPoints * x_stride), dy_points(kPoints * dy_stride), gradient(kPoints * matrix);
  if (in_padded != s.in) clear(points, kPoints * x_stride);  // channels that only fill a register block
  Padded padded_images(tiling, s.in);
  for (std::int64_t n = 0; n < images; n += tiling.group) {
    const std::int64_t count = images - n < tiling.group ? images - n : tiling.group;
    padded_images.take(x + n * pixels * s.in, count);
    const std::int64_t tiles = count * tiling.per_image;
    for (std::int64_t first = 0; first < tiles; first += kTogether) {
      const std::int64_t together = tiles - first < kTogether ? tiles - first : kTogether;
      padded_images.to_points(first, together, in_padded, x_stride, points);
      for (std::int64_t t = 0; t < together; ++t) {
        const Tiling::Place at = tiling.place(first + t);
        gradient_to_points(tiling, at, s.out, dy + (n + at.image) * pixels * s.out, dy_stride, dy_points + t * padded);
      }
      for (std::int64_t p = 0; p < kPoints; ++p) {
        const auto block = [&]<int J, int V>(std::int64_t i, std::int64_t o) __attribute__((always_inline)) {
          multiply_transposed<J, V>(points + p * x_stride + i, in_padded, dy_points + p * dy_stride + o, padded,
                                    together, n + first > 0, gradient + p * matrix + i * padded + o);
        };
        over_vectors(padded, [&]<int V>(std::int64_t o) __attribute__((always_inline)) {
          if constexpr (V == 1) {
            for (std::int64_t i = 0; i < in_padded; i += 2 * kTiles) block.template operator()<2 * kTiles, 1>(i, o);
          } else {
            for (std::int64_t i = 0; i < s.in; i += kTiles) block.template operator()<kTiles, V>(i, o);
          }
        });
      }
    }
  }
  for (std::int64_t i = 0; i < s.in; ++i) {
    for (std::int64_t o = 0; o < s.out; o += kLanes) {
      alignas(64) float taps[kTaps][kLanes];
      Lanes half[3][6];
      for (int px = 0; px < 6; ++px) {
        Lanes in[6], out[3];
        for (int py = 0; py < 6; ++py) in[py] = load(gradient + (py * kSide + px) * matrix + i * padded + o);
        points_to_weights(in, out);
        for (int k = 0; k < 3; ++k) half[k][px] = out[k];
      }
      for (int ky = 0; ky < 3; ++ky) {
        Lanes out[3];
        points_to_weights(half[ky], out);
        for (int kx = 0; kx < 3; ++kx) store(taps[ky * 3 + kx], out[kx]);
      }
      for (std::int64_t l = 0; l < kLanes && o + l < s.out; ++l) {
        for (std::int64_t k = 0; k < kTaps; ++k) dweight[((o + l) * s.in + i) * kTaps + k] += taps[k][l];
      }
    }
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
