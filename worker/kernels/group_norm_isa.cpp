// GroupNorm and SiLU in one pass over channels-last images. Statistics are centred before they are squared: no
// cancellation.
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kMaxChannels = kMaxNormChannels;

/// e^x for |x| <= 87 (clamped), relative error below 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes expf).
GUDA_INLINE Lanes exponential(Lanes x) {
  const Lanes low = Lanes{} - 87.0F, high = Lanes{} + 87.0F;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Lanes shifted = x * 1.44269504F + 12582912.0F;  // rounds to an integer in the low mantissa bits
  const Lanes n = shifted - 12582912.0F;
  const Lanes r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  Lanes p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  IntLanes bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4B400000 + 127) << 23;
  Lanes scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}
GUDA_INLINE Lanes sigmoid(Lanes z) { return 1.0F / (1.0F + exponential(-z)); }

/// Runs body(load, store, channel) over all channels, a vector at a time; the last one may be partial.
template <class Body>
GUDA_INLINE void over_channels(std::int64_t channels, Body&& body) {
  std::int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    body([](const float* from) __attribute__((always_inline)) { return load(from); },
         [](float* to, Lanes v) __attribute__((always_inline)) { store(to, v); }, c);
  }
  if (const std::int64_t left = channels - c; left > 0) {
    body([left](const float* from) __attribute__((always_inline)) { return load_part(from, left); },
         [left](float* to, Lanes v) __attribute__((always_inline)) { store_part(to, v, left); }, c);
  }
}

/// The means over groups of per-channel sums, spread over the channels again.
GUDA_INLINE void average_groups(const GroupNormShape& s, const float* sum, float* mean) {
  const std::int64_t per_group = s.channels / s.groups;
  const double count = double(per_group * s.pixels);
  for (std::int64_t g = 0; g < s.groups; ++g) {
    double total = 0;
    for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) total += sum[i];
    for (std::int64_t i = g * per_group; i < (g + 1) * per_group; ++i) mean[i] = static_cast<float>(total / count);
  }
}

}  // namespace

void group_norm_forward(const GroupNormShape& s, const float* x, const float* gamma, const float* beta, float* y,
                        float* mean, float* rstd) {
  const std::int64_t channels = s.channels, pixels = s.pixels, per_group = channels / s.groups;
  float sum[kMaxChannels], centre[kMaxChannels], scale[kMaxChannels];
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const float* const image = x + n * pixels * channels;
    float* const out = y + n * pixels * channels;
    over_channels(channels, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
      Lanes total{};
      for (std::int64_t p = 0; p < pixels; ++p) total += get(image + p * channels + c);
      put(sum + c, total);
    });
    average_groups(s, sum, centre);
    over_channels(channels, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
      const Lanes middle = get(centre + c);
      Lanes total{};
      for (std::int64_t p = 0; p < pixels; ++p) {
        const Lanes v = get(image + p * channels + c) - middle;
        total += v * v;
      }
      put(sum + c, total);
    });
    average_groups(s, sum, scale);
    for (std::int64_t c = 0; c < channels; ++c)
      scale[c] = static_cast<float>(1.0 / __builtin_sqrt(double(scale[c]) + double(s.eps)));
    for (std::int64_t g = 0; g < s.groups; ++g) {
      mean[n * s.groups + g] = centre[g * per_group];
      rstd[n * s.groups + g] = scale[g * per_group];
    }
    const auto normalise = [&]<bool kSilu>() __attribute__((always_inline)) {
      over_channels(channels, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
        const Lanes weight = get(gamma + c) * get(scale + c), bias = get(beta + c), middle = get(centre + c);
        for (std::int64_t p = 0; p < pixels; ++p) {
          // Centred first: folding the mean into the bias would cancel.
          Lanes v = (get(image + p * channels + c) - middle) * weight + bias;
          if constexpr (kSilu) v *= sigmoid(v);
          put(out + p * channels + c, v);
        }
      });
    };
    if (s.silu) normalise.template operator()<true>();
    else normalise.template operator()<false>();
  }
}

void group_norm_backward(const GroupNormShape& s, const float* x, const float* gamma, const float* beta,
                         const float* mean, const float* rstd, const float* dy, float* dx, float* dgamma,
                         float* dbeta) {
  const std::int64_t channels = s.channels, pixels = s.pixels, per_group = channels / s.groups;
  float centre[kMaxChannels], inverse[kMaxChannels], dz_sum[kMaxChannels], dzx_sum[kMaxChannels], average[kMaxChannels],
      average_x[kMaxChannels];
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const float* const image = x + n * pixels * channels;
    const float* const from = dy + n * pixels * channels;
    float* const out = dx + n * pixels * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      centre[c] = mean[n * s.groups + c / per_group];
      inverse[c] = rstd[n * s.groups + c / per_group];
    }
    over_channels(channels, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
      const Lanes middle = get(centre + c), factor = get(inverse + c), weight = get(gamma + c), bias = get(beta + c);
      Lanes sum{}, sum_x{};
      for (std::int64_t p = 0; p < pixels; ++p) {
        const Lanes normal = (get(image + p * channels + c) - middle) * factor;
        Lanes dz = get(from + p * channels + c);
        if (s.silu) {
          const Lanes z = normal * weight + bias, q = sigmoid(z);
          dz *= q * (1.0F + z * (1.0F - q));
        }
        put(out + p * channels + c, dz);  // turned into dx in the next pass
        sum += dz;
        sum_x += dz * normal;
      }
      put(dz_sum + c, sum);
      put(dzx_sum + c, sum_x);
    });
    for (std::int64_t c = 0; c < channels; ++c) {
      dgamma[c] += dzx_sum[c];
      dbeta[c] += dz_sum[c];
      dz_sum[c] *= gamma[c];
      dzx_sum[c] *= gamma[c];
    }
    average_groups(s, dz_sum, average);
    average_groups(s, dzx_sum, average_x);
    over_channels(channels, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
      const Lanes middle = get(centre + c), factor = get(inverse + c), weight = get(gamma + c),
                  mean_dz = get(average + c), mean_dzx = get(average_x + c);
      for (std::int64_t p = 0; p < pixels; ++p) {
        const Lanes normal = (get(image + p * channels + c) - middle) * factor;
        put(out + p * channels + c, factor * (weight * get(out + p * channels + c) - mean_dz - normal * mean_dzx));
      }
    });
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
