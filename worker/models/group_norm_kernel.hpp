#pragma once
// The arithmetic of group_norm.hpp on raw pointers, torch-free.
#include <cstdint>

namespace guda::worker {

struct GroupNormShape {
  std::int64_t batch, pixels, channels, groups;
  float eps;
  bool silu;
};

/// x, y [batch, pixels, channels]; gamma, beta [channels]; mean, rstd [batch, groups] are written for the backward pass.
void group_norm_forward(const GroupNormShape& shape, const float* x, const float* gamma, const float* beta, float* y, float* mean, float* rstd);

/// dx is written; dgamma and dbeta [channels] are added to.
void group_norm_backward(const GroupNormShape& shape, const float* x, const float* gamma, const float* beta, const float* mean,
                         const float* rstd, const float* dy, float* dx, float* dgamma, float* dbeta);

}  // namespace guda::worker
