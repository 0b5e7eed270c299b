// Softmax attention with heads of any width over many tokens: blocks of queries against blocks of keys, both products
// in register blocks, the softmax of a block between them while it is in the cache (Dao et al., arXiv 2205.14135).
#include <cmath>

#include "worker/kernels/exponential.hpp"
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/scratch.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr float kNever = -1e30F;                      // the score of a key that only fills a vector
constexpr std::int64_t kQueries = 64, kKeys = 512;    // of a block
constexpr std::int64_t kRows = kLanes == 16 ? 8 : 4;  // queries of a register block
constexpr std::int64_t kColumns = 2 * kLanes;         // keys of a register block

GUDA_INLINE float largest_lane(Lanes v) {
  float most = v[0];
  for (std::int64_t l = 1; l < kLanes; ++l) most = v[l] > most ? v[l] : most;
  return most;
}

/// [rows][step] times [inner][V vectors, step], kRows rows; added to the products where there are some.
template <int V>
GUDA_BLOCK void multiply(const float* rows, std::int64_t row_step, const float* columns, std::int64_t column_step,
                         std::int64_t inner, bool added, float* products, std::int64_t product_step) {
  Lanes sum[kRows][V];
  const float* row[kRows];
  GUDA_UNROLL for (int r = 0; r < kRows; ++r) {
    row[r] = rows + r * row_step;
    GUDA_UNROLL for (int v = 0; v < V; ++v) {
      sum[r][v] = added ? load(products + r * product_step + v * kLanes) : Lanes{};
    }
  }
  for (std::int64_t i = 0; i < inner; ++i, columns += column_step) {
    Lanes column[V];
    for (int v = 0; v < V; ++v) column[v] = load(columns + v * kLanes);
    for (int r = 0; r < kRows; ++r) {
      const float value = row[r][i];
      for (int v = 0; v < V; ++v) sum[r][v] += column[v] * value;
    }
  }
  GUDA_UNROLL for (int r = 0; r < kRows; ++r) {
    GUDA_UNROLL for (int v = 0; v < V; ++v) store(products + r * product_step + v * kLanes, sum[r][v]);
  }
}

/// Products with `width` columns, a multiple of the vector.
void multiply_all(const float* rows, std::int64_t row_step, const float* columns, std::int64_t inner, bool added,
                  float* products, std::int64_t width) {
  std::int64_t c = 0;
  for (; c + 3 * kLanes <= width; c += 3 * kLanes)
    multiply<3>(rows, row_step, columns + c, width, inner, added, products + c, width);
  if (c + 2 * kLanes == width) multiply<2>(rows, row_step, columns + c, width, inner, added, products + c, width);
  if (c + kLanes == width) multiply<1>(rows, row_step, columns + c, width, inner, added, products + c, width);
}

/// The state of one query's softmax over the keys so far.
struct Running {
  float most = kNever, sum = 0;
};

/// Scores of a query become weights relative to the largest so far; what was summed before is brought to it.
GUDA_INLINE void soften(float* scores, std::int64_t keys, Running& running, float* sums, std::int64_t width) {
  Lanes most = Lanes{} + running.most;
  for (std::int64_t k = 0; k < keys; k += kLanes) {
    const Lanes score = load(scores + k);
    most = score > most ? score : most;
  }
  const float top = largest_lane(most);
  if (top > running.most && running.sum > 0) {
    const float scale = std::exp(running.most - top);
    running.sum *= scale;
    for (std::int64_t c = 0; c < width; c += kLanes) store(sums + c, load(sums + c) * scale);
  }
  running.most = top;
  Lanes total{};
  for (std::int64_t k = 0; k < keys; k += kLanes) {
    const Lanes weight = exponential(load(scores + k) - top);
    total += weight;
    store(scores + k, weight);
  }
  running.sum += sum_of_lanes(total);
}

}  // namespace

void attention_wide(const AttentionShape& s, const float* q, const float* k, const float* v, float* out, float* log_sum,
                    std::int64_t begin, std::int64_t end) {
  const std::int64_t channels = s.head_channels, step = s.heads * channels;
  const std::int64_t width = round_up(channels, kLanes), padded = round_up(s.keys, kColumns);
  const Scratch<float> keys(channels * padded), values(padded * width), queries(kQueries * channels),
      scores(kQueries * kKeys), sums(kQueries * width);
  Running running[kQueries];
  clear(keys, channels * padded);
  clear(values, padded * width);
  for (std::int64_t head = begin; head < end; ++head) {
    const std::int64_t n = head / s.heads, h = head % s.heads;
    const float *const from_k = k + n * s.keys * step + h * channels, *const from_v =
                                                                          v + n * s.keys * step + h * channels;
    for (std::int64_t t = 0; t < s.keys; ++t) {
      for (std::int64_t c = 0; c < channels; ++c) keys[c * padded + t] = from_k[t * step + c];
      copy(values + t * width, from_v + t * step, channels);
    }
    for (std::int64_t first = 0; first < s.queries; first += kQueries) {
      const std::int64_t rows = s.queries - first < kQueries ? s.queries - first : kQueries;
      const std::int64_t filled = round_up(rows, kRows);
      for (std::int64_t t = 0; t < filled; ++t) {
        running[t] = {};
        const float* const from = q + (n * s.queries + first + t) * step + h * channels;
        for (std::int64_t c = 0; c < channels; ++c) queries[t * channels + c] = t < rows ? from[c] * s.scale : 0;
      }
      for (std::int64_t key = 0; key < padded; key += kKeys) {
        const std::int64_t count = padded - key < kKeys ? padded - key : kKeys;
        for (std::int64_t c = 0; c < count; c += kColumns) {
          for (std::int64_t t = 0; t < filled; t += kRows)
            multiply<2>(queries + t * channels, channels, keys + key + c, padded, channels, false,
                        scores + t * kKeys + c, kKeys);
        }
        for (std::int64_t t = 0; t < filled; ++t) {
          float* const row = scores + t * kKeys;
          for (std::int64_t beyond = s.keys - key; beyond < count; ++beyond) {
            if (beyond >= 0) row[beyond] = kNever;
          }
          soften(row, count, running[t], sums + t * width, width);
        }
        for (std::int64_t t = 0; t < filled; t += kRows)
          multiply_all(scores + t * kKeys, kKeys, values + key * width, count, key > 0, sums + t * width, width);
      }
      for (std::int64_t t = 0; t < rows; ++t) {
        float* const to = out + (n * s.queries + first + t) * step + h * channels;
        const float scale = 1 / running[t].sum;
        for (std::int64_t c = 0; c < channels; ++c) to[c] = sums[t * width + c] * scale;
        log_sum[head * s.queries + first + t] = running[t].most + std::log(running[t].sum);
      }
    }
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
