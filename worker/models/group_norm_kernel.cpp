#include "worker/models/group_norm_kernel.hpp"

#include <cmath>
#include <cstring>
#include <vector>

// Compiled for AVX2 as well, chosen at load time. Neither fused multiply-add nor reassociation is allowed, so both clones
// give the same bits.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define GUDA_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GUDA_CLONES
#endif
#define GUDA_INLINE __attribute__((always_inline)) inline

namespace guda::worker {
namespace {

// Eight channels at a time; the rest one by one through the same templates.
typedef float Eight __attribute__((vector_size(32)));
typedef std::int32_t EightInts __attribute__((vector_size(32)));
template <class V>
struct IntsOf;
template <>
struct IntsOf<Eight> {
  using Type = EightInts;
};
template <>
struct IntsOf<float> {
  using Type = std::int32_t;
};
template <class V>
constexpr std::int64_t kWidth = sizeof(V) / sizeof(float);

template <class V>
GUDA_INLINE void load(V& v, const float* from) {
  std::memcpy(&v, from, sizeof v);
}
template <class V>
GUDA_INLINE void store(float* to, const V& v) {
  std::memcpy(to, &v, sizeof v);
}

/// e^x for |x| <= 87 (clamped), relative error below 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes expf).
template <class V>
GUDA_INLINE void exponential(V& result, const V& argument) {
  using I = typename IntsOf<V>::Type;
  const V low = V{} - 87.0F, high = V{} + 87.0F;
  V x = argument < low ? low : argument;
  x = x > high ? high : x;
  const V shifted = x * 1.44269504F + 12582912.0F;  // rounds to an integer in the low mantissa bits
  const V n = shifted - 12582912.0F;
  const V r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  V p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  I bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4B400000 + 127) << 23;
  V scale;
  std::memcpy(&scale, &bits, sizeof scale);
  result = p * scale;
}

template <class V>
GUDA_INLINE void sigmoid(V& result, const V& z) {
  V e;
  const V minus = -z;
  exponential(e, minus);
  result = 1.0F / (1.0F + e);
}

/// Runs body(V{}, channel) over all channels, eight wide as far as they go.
template <class Body>
GUDA_INLINE void over_channels(std::int64_t channels, Body&& body) {
  std::int64_t c = 0;
  for (; c + kWidth<Eight> <= channels; c += kWidth<Eight>) body(Eight{}, c);
  for (; c < channels; ++c) body(float{}, c);
}

}  // namespace

GUDA_CLONES void group_norm_forward(const GroupNormShape& s, const float* x, const float* gamma, const float* beta, float* y, float* mean,
                                    float* rstd) {
  const std::int64_t channels = s.channels, pixels = s.pixels, per_group = channels / s.groups;
  const double count = double(per_group * pixels);
  std::vector<float> work(static_cast<std::size_t>(3 * channels));
  float *const sum = work.data(), *const scale = sum + channels, *const shift = scale + channels;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const float* const image = x + n * pixels * channels;
    float* const out = y + n * pixels * channels;
    over_channels(channels, [&]<class V>(V, std::int64_t c) __attribute__((always_inline)) {
      V total{}, v;
      for (std::int64_t p = 0; p < pixels; ++p) {
        load(v, image + p * channels + c);
        total += v;
      }
      store(sum + c, total);
    });
    for (std::int64_t g = 0; g < s.groups; ++g) {
      double total = 0;
      for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) total += sum[i];
      mean[n * s.groups + g] = static_cast<float>(total / count);
      for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) shift[i] = mean[n * s.groups + g];
    }
    // A centred second pass over the image, which is still in the cache: no cancellation.
    over_channels(channels, [&]<class V>(V, std::int64_t c) __attribute__((always_inline)) {
      V total{}, v, centre;
      load(centre, shift + c);
      for (std::int64_t p = 0; p < pixels; ++p) {
        load(v, image + p * channels + c);
        v -= centre;
        total += v * v;
      }
      store(sum + c, total);
    });
    for (std::int64_t g = 0; g < s.groups; ++g) {
      double total = 0;
      for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) total += sum[i];
      const auto r = static_cast<float>(1.0 / std::sqrt(total / count + double(s.eps)));
      rstd[n * s.groups + g] = r;
      for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) {
        scale[i] = gamma[i] * r;
        shift[i] = beta[i] - shift[i] * scale[i];
      }
    }
    over_channels(channels, [&]<class V>(V, std::int64_t c) __attribute__((always_inline)) {
      V a, b, v, q;
      load(a, scale + c);
      load(b, shift + c);
      for (std::int64_t p = 0; p < pixels; ++p) {
        load(v, image + p * channels + c);
        v = v * a + b;
        if (s.silu) {
          sigmoid(q, v);
          v *= q;
        }
        store(out + p * channels + c, v);
      }
    });
  }
}

GUDA_CLONES void group_norm_backward(const GroupNormShape& s, const float* x, const float* gamma, const float* beta, const float* mean,
                                     const float* rstd, const float* dy, float* dx, float* dgamma, float* dbeta) {
  const std::int64_t channels = s.channels, pixels = s.pixels, per_group = channels / s.groups;
  const auto count = static_cast<float>(per_group * pixels);
  std::vector<float> work(static_cast<std::size_t>(6 * channels));
  float* const centre = work.data();          // mean of the channel's group
  float* const inverse = centre + channels;   // rstd of the channel's group
  float* const dz_sum = inverse + channels;   // sum over pixels of dz
  float* const dzx_sum = dz_sum + channels;   // sum over pixels of dz * normalised x
  float* const mean_dz = dzx_sum + channels;  // per group: mean of gamma dz
  float* const mean_dzx = mean_dz + channels; // per group: mean of gamma dz * normalised x
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const float* const image = x + n * pixels * channels;
    const float* const from = dy + n * pixels * channels;
    float* const out = dx + n * pixels * channels;
    for (std::int64_t i = 0; i < channels; ++i) {
      centre[i] = mean[n * s.groups + i / per_group];
      inverse[i] = rstd[n * s.groups + i / per_group];
    }
    over_channels(channels, [&]<class V>(V, std::int64_t c) __attribute__((always_inline)) {
      V middle, factor, weight, bias, v, dz, q, sum{}, sum_x{};
      load(middle, centre + c);
      load(factor, inverse + c);
      load(weight, gamma + c);
      load(bias, beta + c);
      for (std::int64_t p = 0; p < pixels; ++p) {
        load(v, image + p * channels + c);
        load(dz, from + p * channels + c);
        const V normal = (v - middle) * factor;
        if (s.silu) {
          const V z = normal * weight + bias;
          sigmoid(q, z);
          dz *= q * (1.0F + z * (1.0F - q));
        }
        store(out + p * channels + c, dz);  // turned into dx in the next pass
        sum += dz;
        sum_x += dz * normal;
      }
      store(dz_sum + c, sum);
      store(dzx_sum + c, sum_x);
    });
    for (std::int64_t g = 0; g < s.groups; ++g) {
      float a = 0, b = 0;
      for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) {
        a += gamma[i] * dz_sum[i];
        b += gamma[i] * dzx_sum[i];
      }
      for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) {
        mean_dz[i] = a / count;
        mean_dzx[i] = b / count;
      }
    }
    for (std::int64_t i = 0; i < channels; ++i) {
      dgamma[i] += dzx_sum[i];
      dbeta[i] += dz_sum[i];
    }
    over_channels(channels, [&]<class V>(V, std::int64_t c) __attribute__((always_inline)) {
      V middle, factor, weight, average, average_x, v, dz;
      load(middle, centre + c);
      load(factor, inverse + c);
      load(weight, gamma + c);
      load(average, mean_dz + c);
      load(average_x, mean_dzx + c);
      for (std::int64_t p = 0; p < pixels; ++p) {
        load(v, image + p * channels + c);
        load(dz, out + p * channels + c);
        v = (v - middle) * factor;
        dz = factor * (weight * dz - average - v * average_x);
        store(out + p * channels + c, dz);
      }
    });
  }
}

}  // namespace guda::worker
