#pragma once
// What each instruction set's copy of the kernels is called: kernels.hpp describes them.
#include "worker/kernels/kernels.hpp"

#define GUDA_KERNEL_SET(ISA)                                                                                           \
  namespace guda::worker::kernels::ISA {                                                                               \
  void conv_forward(const ConvShape&, std::int64_t, const float*, const float*, const float*, const float*,            \
                    const float*, float*);                                                                             \
  void wide_points(const ConvShape&, const float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, float*);    \
  void wide_outputs(const ConvShape&, const float*, std::int64_t, std::int64_t, const float*, const float*,            \
                    const float*, const float*, std::int64_t, std::int64_t, float*);                                   \
  void conv_backward_input(const ConvShape&, std::int64_t, const float*, const float*, float*);                        \
  void conv_backward_weight(const ConvShape&, std::int64_t, const float*, const float*, float*, float*);               \
  void group_norm_forward(const GroupNormShape&, const float*, const float*, const float*, float*, float*, float*);    \
  void group_norm_backward(const GroupNormShape&, const float*, const float*, const float*, const float*,              \
                           const float*, const float*, float*, float*, float*);                                        \
  void attention_forward(const AttentionShape&, const float*, const float*, const float*, float*, float*);             \
  void attention_wide(const AttentionShape&, const float*, const float*, const float*, float*, float*, std::int64_t,   \
                      std::int64_t);                                                                                   \
  void attention_backward(const AttentionShape&, const float*, const float*, const float*, const float*, const float*, \
                          const float*, float*, float*, float*);                                                       \
  void dropout(std::uint64_t, std::uint32_t, std::int64_t, std::int64_t, const float*, float*);                        \
  double sum_of_squares(std::int64_t, const float*);                                                                   \
  void adamw(const AdamWStep&, std::int64_t, const float*, float*, float*, float*);                                    \
  void move_towards(float, std::int64_t, const float*, float*);                                                        \
  inline constexpr Kernels kSet{#ISA,                                                                                  \
                                conv_forward,                                                                          \
                                wide_points,                                                                           \
                                wide_outputs,                                                                          \
                                conv_backward_input,                                                                   \
                                conv_backward_weight,                                                                  \
                                group_norm_forward,                                                                    \
                                group_norm_backward,                                                                   \
                                attention_forward,                                                                     \
                                attention_wide,                                                                        \
                                attention_backward,                                                                    \
                                dropout,                                                                               \
                                sum_of_squares,                                                                        \
                                adamw,                                                                                 \
                                move_towards};                                                                         \
  }

#if defined(__x86_64__)
GUDA_KERNEL_SET(avx512)
GUDA_KERNEL_SET(avx2)
#endif
GUDA_KERNEL_SET(baseline)
