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

/// Sums of term(value, column's vector of `centre`) down the rows: sum[column]. Four sums are under way at once, since
/// each addition waits for the one before.
template <class Term>
GUDA_INLINE void sum_columns(const Rows& rows, const float* image, const float* centre, float* sum, Term&& term) {
  over_columns(rows.columns, [&]<int V>(auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
    Lanes middle[V], total[V][4] = {};
    for (int v = 0; v < V; ++v) middle[v] = get(centre + c + v * kLanes);
    const float* row = image + c;
    std::int64_t r = 0;
    for (; r + 4 <= rows.count; r += 4) {
      for (int i = 0; i < 4; ++i, row += rows.columns) {
        for (int v = 0; v < V; ++v) total[v][i] += term(get(row + v * kLanes), middle[v]);
      }
    }
    for (; r < rows.count; ++r, row += rows.columns) {
      for (int v = 0; v < V; ++v) total[v][0] += term(get(row + v * kLanes), middle[v]);
    }
    for (int v = 0; v < V; ++v) put(sum + c + v * kLanes, (total[v][0] + total[v][1]) + (total[v][2] + total[v][3]));
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

/// V vectors of per-column values.
template <int V, class Get>
GUDA_INLINE void take(Get& get, const float* from, Lanes (&to)[V]) {
  for (int v = 0; v < V; ++v) to[v] = get(from + v * kLanes);
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
      over_columns(rows.columns, [&]<int V>(auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
        Lanes weight[V], factor[V], bias[V], middle[V];
        take(get, weights + c, weight);
        take(get, scale + c, factor);
        take(get, biases + c, bias);
        take(get, centre + c, middle);
        for (int v = 0; v < V; ++v) weight[v] *= factor[v];
        for (std::int64_t r = 0; r < rows.count; ++r) {
          for (int v = 0; v < V; ++v) {
            const std::int64_t at = r * rows.columns + c + v * kLanes;
            // Centred first: folding the mean into the bias would cancel.
            Lanes z = (get(image + at) - middle[v]) * weight[v] + bias[v];
            if constexpr (kSilu) z *= sigmoid(z);
            put(out + at, z);
          }
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
      over_columns(rows.columns, [&]<int V>(auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
        Lanes middle[V], factor[V], weight[V], bias[V], sum[V] = {}, sum_x[V] = {};
        take(get, centre + c, middle);
        take(get, inverse + c, factor);
        take(get, weights + c, weight);
        take(get, biases + c, bias);
        for (std::int64_t r = 0; r < rows.count; ++r) {
          for (int v = 0; v < V; ++v) {
            const std::int64_t at = r * rows.columns + c + v * kLanes;
            const Lanes normal = (get(image + at) - middle[v]) * factor[v];
            Lanes dz = get(from + at);
            if constexpr (kSilu) {
              const Lanes z = normal * weight[v] + bias[v], q = sigmoid(z);
              dz *= q * (1.0F + z * (1.0F - q));
              put(out + at, dz);  // turned into dx in the next pass
            }
            sum[v] += dz;
            sum_x[v] += dz * normal;
          }
        }
        for (int v = 0; v < V; ++v) {
          put(dz_sum + c + v * kLanes, sum[v]);
          put(dzx_sum + c + v * kLanes, sum_x[v]);
        }
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
    over_columns(rows.columns, [&]<int V>(auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
      Lanes middle[V], factor[V], weight[V], mean_dz[V], mean_dzx[V];
      take(get, centre + c, middle);
      take(get, inverse + c, factor);
      take(get, weights + c, weight);
      take(get, average + c, mean_dz);
      take(get, average_x + c, mean_dzx);
      for (std::int64_t r = 0; r < rows.count; ++r) {
        for (int v = 0; v < V; ++v) {
          const std::int64_t at = r * rows.columns + c + v * kLanes;
          const Lanes normal = (get(image + at) - middle[v]) * factor[v];
          put(out + at, factor[v] * (weight[v] * get(dz + at) - mean_dz[v] - normal * mean_dzx[v]));
        }
      }
    });
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
