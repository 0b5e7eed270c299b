// GroupNorm and SiLU in one pass over channels-last images. Statistics are centred before they are squared: no
// cancellation.
#include "worker/kernels/exponential.hpp"
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kMaxChannels = kMaxNormChannels;

GUDA_INLINE Lanes sigmoid(Lanes z) { return 1.0F / (1.0F + exponential(-z)); }

/// An image as a matrix: so many pixels side by side that even few channels make whole vectors, if they can.
struct Rows {
  std::int64_t pixels_a_row, columns, count;

  explicit Rows(const GroupNormShape& s) : pixels_a_row(kLanes / common_divisor(s.channels, kLanes)) {
    if (s.pixels % pixels_a_row != 0 || pixels_a_row * s.channels > kMaxChannels) pixels_a_row = 1;
    columns = pixels_a_row * s.channels;
    count = s.pixels / pixels_a_row;
  }

 private:
  static std::int64_t common_divisor(std::int64_t a, std::int64_t b) {
    while (b != 0) {
      const std::int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  }
};

/// Runs body(load, store, column) over all columns, a vector at a time; the last one may be partial.
template <class Body>
GUDA_INLINE void over_columns(std::int64_t columns, Body&& body) {
  std::int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    body([](const float* from) __attribute__((always_inline)) { return load(from); },
         [](float* to, Lanes v) __attribute__((always_inline)) { store(to, v); }, c);
  }
  if (const std::int64_t left = columns - c; left > 0) {
    body([left](const float* from) __attribute__((always_inline)) { return load_part(from, left); },
         [left](float* to, Lanes v) __attribute__((always_inline)) { store_part(to, v, left); }, c);
  }
}

/// Sums of term(value, column's vector of `centre`) down the rows: sum[column]. Four sums are under way at once, since
/// each addition waits for the one before.
template <class Term>
GUDA_INLINE void sum_columns(const Rows& rows, const float* image, const float* centre, float* sum, Term&& term) {
  over_columns(rows.columns, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
    const Lanes middle = get(centre + c);
    Lanes total[4] = {};
    std::int64_t r = 0;
    for (; r + 4 <= rows.count; r += 4) {
      for (int i = 0; i < 4; ++i) total[i] += term(get(image + (r + i) * rows.columns + c), middle);
    }
    for (; r < rows.count; ++r) total[0] += term(get(image + r * rows.columns + c), middle);
    put(sum + c, (total[0] + total[1]) + (total[2] + total[3]));
  });
}

/// The means over groups of per-column sums, spread over the columns again.
GUDA_INLINE void average_groups(const GroupNormShape& s, const Rows& rows, const float* sum, float* mean) {
  const std::int64_t per_group = s.channels / s.groups;
  const double count = double(per_group * s.pixels);
  for (std::int64_t g = 0; g < s.groups; ++g) {
    double total = 0;
    for (std::int64_t first = g * per_group; first < rows.columns; first += s.channels) {
      for (std::int64_t i = first; i < first + per_group; ++i) total += sum[i];
    }
    const auto average = static_cast<float>(total / count);
    for (std::int64_t first = g * per_group; first < rows.columns; first += s.channels) {
      for (std::int64_t i = first; i < first + per_group; ++i) mean[i] = average;
    }
  }
}

/// Per-channel values for each pixel of a row.
GUDA_INLINE void repeat(const GroupNormShape& s, const Rows& rows, const float* channels, float* columns) {
  for (std::int64_t p = 0; p < rows.pixels_a_row; ++p)
    std::memcpy(columns + p * s.channels, channels, static_cast<std::size_t>(s.channels) * sizeof(float));
}

}  // namespace

void group_norm_forward(const GroupNormShape& s, const float* x, const float* gamma, const float* beta, float* y,
                        float* mean, float* rstd) {
  const Rows rows(s);
  const std::int64_t per_group = s.channels / s.groups, size = s.pixels * s.channels;
  float sum[kMaxChannels], centre[kMaxChannels], scale[kMaxChannels], weights[kMaxChannels], biases[kMaxChannels];
  repeat(s, rows, gamma, weights);
  repeat(s, rows, beta, biases);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const float* const image = x + n * size;
    float* const out = y + n * size;
    // The centre is not known yet: any finite memory will do.
    sum_columns(rows, image, biases, sum, [](Lanes v, Lanes) __attribute__((always_inline)) { return v; });
    average_groups(s, rows, sum, centre);
    sum_columns(rows, image, centre, sum, [](Lanes v, Lanes middle) __attribute__((always_inline)) {
      const Lanes difference = v - middle;
      return difference * difference;
    });
    average_groups(s, rows, sum, scale);
    for (std::int64_t g = 0; g < s.groups; ++g) {
      mean[n * s.groups + g] = centre[g * per_group];
      const auto inverse = static_cast<float>(1.0 / __builtin_sqrt(double(scale[g * per_group]) + double(s.eps)));
      rstd[n * s.groups + g] = inverse;
      for (std::int64_t first = g * per_group; first < rows.columns; first += s.channels) {
        for (std::int64_t i = first; i < first + per_group; ++i) scale[i] = inverse;
      }
    }
    const auto normalise = [&]<bool kSilu>() __attribute__((always_inline)) {
      over_columns(rows.columns, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
        const Lanes weight = get(weights + c) * get(scale + c), bias = get(biases + c), middle = get(centre + c);
        for (std::int64_t r = 0; r < rows.count; ++r) {
          // Centred first: folding the mean into the bias would cancel.
          Lanes v = (get(image + r * rows.columns + c) - middle) * weight + bias;
          if constexpr (kSilu) v *= sigmoid(v);
          put(out + r * rows.columns + c, v);
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
  const Rows rows(s);
  const std::int64_t per_group = s.channels / s.groups, size = s.pixels * s.channels;
  float weights[kMaxChannels], biases[kMaxChannels], centre[kMaxChannels], inverse[kMaxChannels], dz_sum[kMaxChannels],
      dzx_sum[kMaxChannels], average[kMaxChannels], average_x[kMaxChannels];
  repeat(s, rows, gamma, weights);
  repeat(s, rows, beta, biases);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const float* const image = x + n * size;
    const float* const from = dy + n * size;
    float* const out = dx + n * size;
    for (std::int64_t g = 0; g < s.groups; ++g) {
      for (std::int64_t first = g * per_group; first < rows.columns; first += s.channels) {
        for (std::int64_t i = first; i < first + per_group; ++i) {
          centre[i] = mean[n * s.groups + g];
          inverse[i] = rstd[n * s.groups + g];
        }
      }
    }
    const auto gather = [&]<bool kSilu>() __attribute__((always_inline)) {
      over_columns(rows.columns, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
        const Lanes middle = get(centre + c), factor = get(inverse + c), weight = get(weights + c),
                    bias = get(biases + c);
        Lanes sum{}, sum_x{};
        for (std::int64_t r = 0; r < rows.count; ++r) {
          const std::int64_t at = r * rows.columns + c;
          const Lanes normal = (get(image + at) - middle) * factor;
          Lanes dz = get(from + at);
          if constexpr (kSilu) {
            const Lanes z = normal * weight + bias, q = sigmoid(z);
            dz *= q * (1.0F + z * (1.0F - q));
            put(out + at, dz);  // turned into dx in the next pass
          }
          sum += dz;
          sum_x += dz * normal;
        }
        put(dz_sum + c, sum);
        put(dzx_sum + c, sum_x);
      });
    };
    if (s.silu) gather.template operator()<true>();
    else gather.template operator()<false>();
    for (std::int64_t first = 0; first < rows.columns; first += s.channels) {
      for (std::int64_t c = 0; c < s.channels; ++c) {
        dgamma[c] += dzx_sum[first + c];
        dbeta[c] += dz_sum[first + c];
        dz_sum[first + c] *= gamma[c];
        dzx_sum[first + c] *= gamma[c];
      }
    }
    average_groups(s, rows, dz_sum, average);
    average_groups(s, rows, dzx_sum, average_x);
    const float* const dz = s.silu ? out : from;
    over_columns(rows.columns, [&](auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
      const Lanes middle = get(centre + c), factor = get(inverse + c), weight = get(weights + c),
                  mean_dz = get(average + c), mean_dzx = get(average_x + c);
      for (std::int64_t r = 0; r < rows.count; ++r) {
        const std::int64_t at = r * rows.columns + c;
        const Lanes normal = (get(image + at) - middle) * factor;
        put(out + at, factor * (weight * get(dz + at) - mean_dz - normal * mean_dzx));
      }
    });
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
