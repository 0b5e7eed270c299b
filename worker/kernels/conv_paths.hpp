#pragma once
// A convolution as a list of gathers. Strides, the enlargement before it and the way back through all of these differ
// only in which source pixels a destination pixel reads and in which weights apply, so one inner loop serves them all.
// An enlarged 3x3 convolution becomes four 2x2 ones with summed weights: 16 products instead of 36 for four pixels.
#include <cstdint>

#include "worker/kernels/kernels.hpp"

namespace guda::worker::kernels {

/// One source pixel of a gather, relative to the destination's, and the weights that are summed for it.
struct Tap {
  std::int8_t y, x;
  std::uint16_t weights;  ///< bit ky * kernel + kx
};

/// Destination pixels (start + i * step) of one phase, each read from source pixel i * source_step + tap.
struct Gather {
  std::int64_t rows, columns;
  std::int64_t start_y, start_x, step, source_step;
  Tap taps[16];
  std::int64_t tap_count;
};

/// Plain arrays: what is inline in a standard container must not be compiled for one instruction set only.
struct Gathers {
  Gather gather[4];
  std::int64_t count;
  std::int64_t source_height, source_width, destination_height, destination_width;
};

[[nodiscard]] Gathers forward_gathers(const ConvShape& shape);
/// From the gradient of the output to that of the input.
[[nodiscard]] Gathers backward_gathers(const ConvShape& shape);

}  // namespace guda::worker::kernels
