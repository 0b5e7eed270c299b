#pragma once
// The steps of winograd.hpp on vectors of channels. Only for the sources of kernels.hpp, as lanes.hpp.
#include "worker/kernels/lanes.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kTile = 4, kSide = 6, kPoints = kSide * kSide, kTaps = 9;

// One axis of each step; the matrices are those of the points 0, 1, -1, 2, -1/2, infinity.
GUDA_INLINE void inputs_to_points(const Lanes (&d)[6], Lanes (&p)[6]) {
  const Lanes a = d[1] - d[3], b = d[4] - d[2];
  p[0] = (d[0] - d[2]) + b + a * 1.5F;
  p[1] = (d[4] - d[2] * 2.5F) - d[1] - d[3] * 0.5F;
  p[2] = (d[4] + d[2] * 0.5F) + d[1] - d[3] * 2.5F;
  p[3] = b - a * 0.5F;
  p[4] = b + a * 2.0F;
  p[5] = (d[5] - d[3]) + a - b * 1.5F;
}
GUDA_INLINE void points_to_outputs(const Lanes (&p)[6], Lanes (&y)[4]) {
  const Lanes sum = p[1] + p[2], difference = p[1] - p[2];
  y[0] = p[0] + sum + (p[3] + p[4]);
  y[1] = difference + p[3] * 2.0F - p[4] * 0.5F;
  y[2] = sum + p[3] * 4.0F + p[4] * 0.25F;
  y[3] = difference + p[3] * 8.0F - p[4] * 0.125F + p[5];
}
GUDA_INLINE void outputs_to_points(const Lanes (&y)[4], Lanes (&p)[6]) {
  const Lanes even = y[0] + y[2], odd = y[1] + y[3];
  p[0] = y[0];
  p[1] = even + odd;
  p[2] = even - odd;
  p[3] = y[0] + y[1] * 2.0F + y[2] * 4.0F + y[3] * 8.0F;
  p[4] = y[0] - y[1] * 0.5F + y[2] * 0.25F - y[3] * 0.125F;
  p[5] = y[3];
}
constexpr float kThird = 1.0F / 3.0F, kFifteenth = 1.0F / 15.0F;
GUDA_INLINE void weights_to_points(const Lanes (&w)[3], Lanes (&p)[6]) {
  const Lanes even = w[0] + w[2];
  p[0] = w[0];
  p[1] = (even + w[1]) * -kThird;
  p[2] = (even - w[1]) * kThird;
  p[3] = (w[0] + w[1] * 2.0F + w[2] * 4.0F) * kFifteenth;
  p[4] = (w[0] * 4.0F - w[1] * 2.0F + w[2]) * (-4 * kFifteenth);
  p[5] = w[2];
}
GUDA_INLINE void points_to_weights(const Lanes (&p)[6], Lanes (&w)[3]) {
  const Lanes difference = (p[2] - p[1]) * kThird;
  w[0] = p[0] + difference + (p[3] - p[4] * 16.0F) * kFifteenth;
  w[1] = (p[1] + p[2]) * -kThird + (p[3] * 2.0F + p[4] * 8.0F) * kFifteenth;
  w[2] = difference + (p[3] - p[4]) * (4 * kFifteenth) + p[5];
}

/// `step` over both axes: first down the columns of from(row, column), then along the rows into to(row, column, value).
template <int From, int To, class Step, class Read, class Write>
GUDA_INLINE void both_axes(Step&& step, Read&& from, Write&& to) {
  Lanes half[To][From];
  for (int x = 0; x < From; ++x) {
    Lanes in[From], out[To];
    for (int y = 0; y < From; ++y) in[y] = from(y, x);
    step(in, out);
    for (int y = 0; y < To; ++y) half[y][x] = out[y];
  }
  for (int y = 0; y < To; ++y) {
    Lanes out[To];
    step(half[y], out);
    for (int x = 0; x < To; ++x) to(y, x, out[x]);
  }
}

}  // namespace
}  // namespace guda::worker::kernels::GUDA_ISA
