#pragma once
// Winograd's minimal filtering F(4x4, 3x3) for plain 3x3 convolutions: 36 products where the sum over taps takes 144.
// Lavin and Gray, arXiv 1509.09308; interpolation at 0, 1, -1, 2, -1/2 and infinity, about three times the rounding
// error of the plain sum (Barabasz et al., arXiv 1803.10986; 1e-6 relative at 48 channels).
#include "worker/kernels/kernels.hpp"

namespace guda::worker::kernels::GUDA_ISA {

/// Whether it pays for `from` -> `to` channels: a function of the shape alone, since it decides about bits.
[[nodiscard]] bool winograd_pays(const ConvShape& shape);

/// The convolution (forward), or its transpose (x is then the gradient of the output, y that of the input). Null: not
/// added.
void winograd_convolve(const ConvShape& shape, bool forward, std::int64_t images, const float* x, const float* weight,
                       const float* bias, const float* shift, const float* residual, float* y);

/// Adds the gradient of the weights to dweight.
void winograd_backward_weight(const ConvShape& shape, std::int64_t images, const float* x, const float* dy,
                              float* dweight);

}  // namespace guda::worker::kernels::GUDA_ISA
