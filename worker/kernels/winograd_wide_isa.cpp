// Winograd's convolution for many channels and few tiles: the weights of one image or a few are more than the caches
// hold, and are used a few times only. So they go to their points in blocks of some input channels and one panel of
// output channels, which stay in the second-level cache until all tiles have been multiplied by them.
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/scratch.hpp"
#include "worker/kernels/sets.hpp"
#include "worker/kernels/winograd_steps.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kPanel = kWidePanel, kVectors = 2;
constexpr std::int64_t kPiece = kVectors * kLanes;  // channels of a register block; divides a panel
constexpr std::int64_t kBlock = 128;                // input channels at once
constexpr std::int64_t kTiles = kLanes == 16 ? kWideTiles : kWideTiles / 2;  // of a register block

struct Place {
  std::int64_t image, row, column;  // of the first output
};

Place place_of(const ConvShape& s, std::int64_t tile) {
  const std::int64_t columns = (s.out_width() + kTile - 1) / kTile, each = wide_tiles(s), inside = tile % each;
  return {tile / each, inside / columns * kTile, inside % columns * kTile};
}

std::int64_t point_stride(const ConvShape& s, std::int64_t tiles) { return wide_points_size(s, tiles) / kPoints; }

/// Weights of the output channels from `out` on and the input channels [first, last) at their points:
/// [point][input channel][panel].
void weights_at_points(const ConvShape& s, const float* weight, std::int64_t out, std::int64_t first, std::int64_t last,
                       float* taps, float* points) {
  const std::int64_t count = last - first;
  for (std::int64_t o = 0; o < kPanel; ++o) {
    const float* const from = weight + ((out + o) * s.in + first) * kTaps;
    for (std::int64_t i = 0; i < count * kTaps; ++i) taps[i * kPanel + o] = from[i];
  }
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t o = 0; o < kPanel; o += kLanes) {
      const float* const from = taps + i * kTaps * kPanel + o;
      float* const to = points + i * kPanel + o;
      both_axes<3, 6>(
          weights_to_points,
          [=](int y, int x) __attribute__((always_inline)) { return load(from + (y * 3 + x) * kPanel); },
          [=](int y, int x, Lanes v)
              __attribute__((always_inline)) { store(to + (y * kSide + x) * kBlock * kPanel, v); });
    }
  }
}

/// kTiles tiles times a block of input channels times a register block of output channels, added to the products.
GUDA_BLOCK void multiply(const float* tiles, std::int64_t tile_step, const float* weight, std::int64_t count,
                         bool added, float* products) {
  Lanes sum[kTiles][kVectors];
  GUDA_UNROLL for (int t = 0; t < kTiles; ++t) {
    GUDA_UNROLL for (int v = 0; v < kVectors; ++v) {
      sum[t][v] = added ? load(products + t * kPanel + v * kLanes) : Lanes{};
    }
  }
  const float* tile[kTiles];
  for (int t = 0; t < kTiles; ++t) tile[t] = tiles + t * tile_step;
  for (std::int64_t i = 0; i < count; ++i, weight += kPanel) {
    Lanes row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = load(weight + v * kLanes);
    for (int t = 0; t < kTiles; ++t) {
      const float value = tile[t][i];
      for (int v = 0; v < kVectors; ++v) sum[t][v] += row[v] * value;
    }
  }
  GUDA_UNROLL for (int t = 0; t < kTiles; ++t) {
    GUDA_UNROLL for (int v = 0; v < kVectors; ++v) store(products + t * kPanel + v * kLanes, sum[t][v]);
  }
}

/// A tile's outputs of one panel from its points.
GUDA_INLINE void finish_tile(const ConvShape& s, const Place& at, std::int64_t out, const float* products,
                             std::int64_t point_step, const float* bias, const float* shift, const float* residual,
                             float* y) {
  const std::int64_t height = s.out_height(), width = s.out_width();
  for (std::int64_t c = 0; c < kPanel; c += kLanes) {
    Lanes added{};
    if (bias != nullptr) added += load(bias + out + c);
    if (shift != nullptr) added += load(shift + at.image * s.out + out + c);
    Lanes half[4][6];
    for (int x = 0; x < 6; ++x) {
      Lanes in[6], to[4];
      for (int p = 0; p < 6; ++p) in[p] = load(products + (p * kSide + x) * point_step + c);
      points_to_outputs(in, to);
      for (int p = 0; p < 4; ++p) half[p][x] = to[p];
    }
    for (std::int64_t py = 0; py < kTile && at.row + py < height; ++py) {
      Lanes to[4];
      points_to_outputs(half[py], to);
      for (std::int64_t px = 0; px < kTile && at.column + px < width; ++px) {
        const std::int64_t place = ((at.image * height + at.row + py) * width + at.column + px) * s.out + out + c;
        const Lanes value = to[px] + added;
        store(y + place, residual != nullptr ? value + load(residual + place) : value);
      }
    }
  }
}

}  // namespace

void wide_points(const ConvShape& s, const float* x, std::int64_t first, std::int64_t begin, std::int64_t end,
                 std::int64_t tiles, float* points) {
  const std::int64_t stride = point_stride(s, tiles), height = s.out_height(), width = s.out_width();
  const int fold = s.enlarge ? 1 : 0;  // an enlarged image's pixel is read where it comes from
  for (std::int64_t t = begin; t < end; ++t) {
    const Place at = place_of(s, first + t);
    const float* pixels[kPoints];
    for (std::int64_t py = 0; py < kSide; ++py) {
      for (std::int64_t px = 0; px < kSide; ++px) {
        const std::int64_t row = at.row + py - 1, column = at.column + px - 1;
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        pixels[py * kSide + px] =
            inside ? x + ((at.image * s.height + (row >> fold)) * s.width + (column >> fold)) * s.in : nullptr;
      }
    }
    for (std::int64_t c = 0; c < s.in; c += kLanes) {
      float* const to = points + t * s.in + c;
      both_axes<6, 6>(
          inputs_to_points,
          [&](int y, int px) __attribute__((always_inline)) {
            const float* const from = pixels[y * kSide + px];
            return from != nullptr ? load(from + c) : Lanes{};
          },
          [=](int y, int px, Lanes v) __attribute__((always_inline)) { store(to + (y * kSide + px) * stride, v); });
    }
  }
}

void wide_outputs(const ConvShape& s, const float* points, std::int64_t first, std::int64_t tiles, const float* weight,
                  const float* bias, const float* shift, const float* residual, std::int64_t begin, std::int64_t end,
                  float* y) {
  const std::int64_t stride = point_stride(s, tiles), filled = round_up(tiles, kTiles), step = filled * kPanel + 16;
  const Scratch<float> taps(kBlock * kTaps * kPanel), weights(kPoints * kBlock * kPanel), products(kPoints * step);
  for (std::int64_t panel = begin; panel < end; ++panel) {
    const std::int64_t out = panel * kPanel;
    for (std::int64_t i = 0; i < s.in; i += kBlock) {
      const std::int64_t count = s.in - i < kBlock ? s.in - i : kBlock;
      weights_at_points(s, weight, out, i, i + count, taps, weights);
      for (std::int64_t p = 0; p < kPoints; ++p) {
        for (std::int64_t c = 0; c < kPanel; c += kPiece) {
          for (std::int64_t t = 0; t < filled; t += kTiles) {
            multiply(points + p * stride + t * s.in + i, s.in, weights + p * kBlock * kPanel + c, count, i > 0,
                     products + p * step + t * kPanel + c);
          }
        }
      }
    }
    for (std::int64_t t = 0; t < tiles; ++t)
      finish_tile(s, place_of(s, first + t), out, products + t * kPanel, step, bias, shift, residual, y);
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
