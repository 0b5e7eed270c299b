// Softmax attention over few tokens with narrow heads. Vectors run over the keys, so that a head of 8 channels fills
// them; general libraries run over channels and leave most of a vector empty. Scores of two queries stay in the
// first-level cache between the two passes over the keys that a softmax takes.
#include <cmath>

#include "worker/kernels/exponential.hpp"
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/scratch.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr float kNever = -1e30F;  // the score of a key that only fills a vector

/// Queries at once: their sums over keys stay in registers.
template <int D>
constexpr int kQueries = kLanes == 16 && D == 8 ? 2 : 1;

/// One head of an image: [token][channel] to [channel][token, padded by zeros].
void transpose(std::int64_t tokens, std::int64_t padded, std::int64_t channels, std::int64_t step, const float* from,
               float* to) {
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t t = 0; t < tokens; ++t) to[c * padded + t] = from[t * step + c];
    for (std::int64_t t = tokens; t < padded; ++t) to[c * padded + t] = 0;
  }
}

/// Scores of one vector of keys from `key` on under Q queries, scaled; a key beyond the last gets kNever.
template <int D, int Q>
GUDA_INLINE void scores(const float (&query)[Q][D], const float* keys, std::int64_t padded, std::int64_t tokens,
                        std::int64_t key, Lanes (&score)[Q]) {
  for (int q = 0; q < Q; ++q) score[q] = Lanes{};
  for (int d = 0; d < D; ++d) {
    const Lanes row = load(keys + d * padded + key);
    for (int q = 0; q < Q; ++q) score[q] += row * query[q][d];
  }
  if (key + kLanes <= tokens) return;
  for (std::int64_t l = tokens - key; l < kLanes; ++l) {
    for (int q = 0; q < Q; ++q) score[q][l] = kNever;
  }
}

GUDA_INLINE float largest_lane(Lanes v) {
  float most = v[0];
  for (std::int64_t l = 1; l < kLanes; ++l) most = v[l] > most ? v[l] : most;
  return most;
}

template <int D, int Q>
GUDA_INLINE void load_queries(const float* from, std::int64_t step, float scale, float (&query)[Q][D]) {
  for (int q = 0; q < Q; ++q) {
    for (int d = 0; d < D; ++d) query[q][d] = from[q * step + d] * scale;
  }
}

template <int D, int Q>
GUDA_BLOCK void forward_queries(const AttentionShape& s, std::int64_t padded, const float* q, const float* keys,
                                const float* values, float* buffer, float* out, float* log_sum) {
  const std::int64_t step = s.heads * D;
  float query[Q][D];
  load_queries<D, Q>(q, step, s.scale, query);
  Lanes most[Q];
  for (int i = 0; i < Q; ++i) most[i] = Lanes{} + kNever;
  for (std::int64_t key = 0; key < padded; key += kLanes) {
    Lanes score[Q];
    scores<D, Q>(query, keys, padded, s.keys, key, score);
    for (int i = 0; i < Q; ++i) {
      most[i] = score[i] > most[i] ? score[i] : most[i];
      store(buffer + i * padded + key, score[i]);
    }
  }
  float top[Q];
  for (int i = 0; i < Q; ++i) top[i] = largest_lane(most[i]);
  Lanes sum[Q], product[Q][D];
  GUDA_UNROLL for (int i = 0; i < Q; ++i) {
    sum[i] = Lanes{};
    GUDA_UNROLL for (int d = 0; d < D; ++d) product[i][d] = Lanes{};
  }
  for (std::int64_t key = 0; key < padded; key += kLanes) {
    Lanes weight[Q];
    for (int i = 0; i < Q; ++i) {
      weight[i] = exponential(load(buffer + i * padded + key) - top[i]);
      sum[i] += weight[i];
    }
    for (int d = 0; d < D; ++d) {
      const Lanes row = load(values + d * padded + key);
      for (int i = 0; i < Q; ++i) product[i][d] += weight[i] * row;
    }
  }
  GUDA_UNROLL for (int i = 0; i < Q; ++i) {
    const float total = sum_of_lanes(sum[i]);
    GUDA_UNROLL for (int d = 0; d < D; ++d) out[i * step + d] = sum_of_lanes(product[i][d]) / total;
    log_sum[i] = top[i] + std::log(total);
  }
}

template <int D, int Q>
GUDA_BLOCK void backward_queries(const AttentionShape& s, std::int64_t padded, const float* q, const float* keys,
                                 const float* values, const float* out, const float* log_sum, const float* dout,
                                 float* dq, float* dkeys, float* dvalues) {
  const std::int64_t step = s.heads * D;
  float query[Q][D], error[Q][D], along[Q] = {};
  load_queries<D, Q>(q, step, s.scale, query);
  load_queries<D, Q>(dout, step, 1, error);
  for (int i = 0; i < Q; ++i) {
    for (int d = 0; d < D; ++d) along[i] += error[i][d] * out[i * step + d];
  }
  Lanes product[Q][D];
  GUDA_UNROLL for (int i = 0; i < Q; ++i) { GUDA_UNROLL for (int d = 0; d < D; ++d) product[i][d] = Lanes{}; }
  for (std::int64_t key = 0; key < padded; key += kLanes) {
    Lanes weight[Q], change[Q] = {};
    scores<D, Q>(query, keys, padded, s.keys, key, weight);
    for (int i = 0; i < Q; ++i) weight[i] = exponential(weight[i] - log_sum[i]);
    for (int d = 0; d < D; ++d) {
      const Lanes row = load(values + d * padded + key);
      Lanes dvalue = load(dvalues + d * padded + key);
      for (int i = 0; i < Q; ++i) {
        change[i] += row * error[i][d];
        dvalue += weight[i] * error[i][d];
      }
      store(dvalues + d * padded + key, dvalue);
    }
    for (int i = 0; i < Q; ++i) change[i] = weight[i] * (change[i] - along[i]);
    for (int d = 0; d < D; ++d) {
      const Lanes row = load(keys + d * padded + key);
      Lanes dkey = load(dkeys + d * padded + key);
      for (int i = 0; i < Q; ++i) {
        product[i][d] += change[i] * row;
        dkey += change[i] * query[i][d];
      }
      store(dkeys + d * padded + key, dkey);
    }
  }
  GUDA_UNROLL for (int i = 0; i < Q; ++i) {
    GUDA_UNROLL for (int d = 0; d < D; ++d) dq[i * step + d] = sum_of_lanes(product[i][d]) * s.scale;
  }
}

/// Runs body<queries>(first) over all queries, as many at a time as there may be.
template <int D, class Body>
GUDA_INLINE void over_queries(std::int64_t queries, Body&& body) {
  std::int64_t t = 0;
  for (; t + kQueries<D> <= queries; t += kQueries<D>) body.template operator()<kQueries<D>>(t);
  for (; t < queries; ++t) body.template operator()<1>(t);
}

template <int D>
void forward(const AttentionShape& s, const float* q, const float* k, const float* v, float* out, float* log_sum) {
  const std::int64_t step = s.heads * D, padded = round_up(s.keys, kLanes);
  const Scratch<float> keys(D * padded), values(D * padded), buffer(2 * padded);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const std::int64_t query = n * s.queries * step + h * D, key = n * s.keys * step + h * D;
      transpose(s.keys, padded, D, step, k + key, keys);
      transpose(s.keys, padded, D, step, v + key, values);
      over_queries<D>(s.queries, [&]<int Q>(std::int64_t t) __attribute__((always_inline)) {
        forward_queries<D, Q>(s, padded, q + query + t * step, keys, values, buffer, out + query + t * step,
                              log_sum + (n * s.heads + h) * s.queries + t);
      });
    }
  }
}

/// [channel][token, padded] back to one head of [token][channel].
void transpose_back(std::int64_t tokens, std::int64_t padded, std::int64_t channels, std::int64_t step,
                    const float* from, float* to) {
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t c = 0; c < channels; ++c) to[t * step + c] = from[c * padded + t];
  }
}

template <int D>
void backward(const AttentionShape& s, const float* q, const float* k, const float* v, const float* out,
              const float* log_sum, const float* dout, float* dq, float* dk, float* dv) {
  const std::int64_t step = s.heads * D, padded = round_up(s.keys, kLanes);
  const Scratch<float> keys(D * padded), values(D * padded), dkeys(D * padded), dvalues(D * padded);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const std::int64_t query = n * s.queries * step + h * D, key = n * s.keys * step + h * D;
      transpose(s.keys, padded, D, step, k + key, keys);
      transpose(s.keys, padded, D, step, v + key, values);
      clear(dkeys, D * padded);
      clear(dvalues, D * padded);
      over_queries<D>(s.queries, [&]<int Q>(std::int64_t t) __attribute__((always_inline)) {
        const std::int64_t at = query + t * step;
        backward_queries<D, Q>(s, padded, q + at, keys, values, out + at, log_sum + (n * s.heads + h) * s.queries + t,
                               dout + at, dq + at, dkeys, dvalues);
      });
      transpose_back(s.keys, padded, D, step, dkeys, dk + key);
      transpose_back(s.keys, padded, D, step, dvalues, dv + key);
    }
  }
}

}  // namespace

void attention_forward(const AttentionShape& s, const float* q, const float* k, const float* v, float* out,
                       float* log_sum) {
  if (s.head_channels == 8) forward<8>(s, q, k, v, out, log_sum);
  else forward<16>(s, q, k, v, out, log_sum);
}

void attention_backward(const AttentionShape& s, const float* q, const float* k, const float* v, const float* out,
                        const float* log_sum, const float* dout, float* dq, float* dk, float* dv) {
  if (s.head_channels == 8) backward<8>(s, q, k, v, out, log_sum, dout, dq, dk, dv);
  else backward<16>(s, q, k, v, out, log_sum, dout, dq, dk, dv);
}

}  // namespace guda::worker::kernels::GUDA_ISA
