// Direct convolutions for few channels. A block of pixels times a block of output channels stays in registers while
// taps and input channels go by; an image and the weights of one block stay in the first-level cache. General libraries
// lose here: their set-up and layout changes cost as much as the arithmetic of a 16-channel 8x8 image
// (docs/performance.md).
#include "worker/kernels/conv_paths.hpp"
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/scratch.hpp"
#include "worker/kernels/sets.hpp"
#include "worker/kernels/winograd.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kPixels = kLanes == 16 ? 8 : 4;  // of a register block, times up to two vectors of channels
constexpr std::int64_t kInner = kPixels;                // input channels of a register block of the weight gradient
constexpr std::int64_t kNarrow = kLanes / 4;            // so few output channels would leave most of a vector empty
constexpr std::int64_t kChunk = 64;                     // pixels that are gone through for all channels

/// Source images with a border of zeros, a few at a time; 1x1 convolutions read the images as they are.
class Source {
 public:
  Source(const Gathers& all, std::int64_t channels, int kernel, std::int64_t group)
      : height_(all.source_height),
        width_(all.source_width),
        channels_(channels),
        border_(kernel == 1 ? 0 : 1),
        memory_(border_ == 0 ? 1 : group * image_size()) {
    if (border_ != 0) clear(memory_, group * image_size());
  }
  [[nodiscard]] std::int64_t image_size() const { return (height_ + 2 * border_) * (width_ + 2 * border_) * channels_; }
  [[nodiscard]] std::int64_t offset(std::int64_t y, std::int64_t x) const {
    return ((y + border_) * (width_ + 2 * border_) + x + border_) * channels_;
  }
  const float* take(const float* images, std::int64_t count) {
    if (border_ == 0) return images;
    for (std::int64_t n = 0; n < count; ++n) {
      for (std::int64_t y = 0; y < height_; ++y) {
        copy(memory_ + n * image_size() + offset(y, 0), images + (n * height_ + y) * width_ * channels_,
             width_ * channels_);
      }
    }
    return memory_;
  }

 private:
  std::int64_t height_, width_, channels_, border_;
  Scratch<float> memory_;
};

/// Where each destination pixel of a gather reads and writes, for `group` images; padded to whole blocks by its last
/// pixel.
struct Pixels {
  std::int64_t per_image, count;
  Scratch<std::int32_t> source, destination, image;

  Pixels(const Gathers& all, const Gather& g, const Source& from, std::int64_t destination_channels, std::int64_t group)
      : per_image(g.rows * g.columns),
        count(round_up(group * per_image, kPixels)),
        source(count),
        destination(count),
        image(count) {
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < group; ++n) {
      for (std::int64_t y = 0; y < g.rows; ++y) {
        for (std::int64_t x = 0; x < g.columns; ++x, ++i) {
          source[i] =
              static_cast<std::int32_t>(n * from.image_size() + from.offset(y * g.source_step, x * g.source_step));
          const std::int64_t row = n * all.destination_height + g.start_y + y * g.step;
          destination[i] =
              static_cast<std::int32_t>((row * all.destination_width + g.start_x + x * g.step) * destination_channels);
          image[i] = static_cast<std::int32_t>(n);
        }
      }
    }
  }
  /// The number of entries to visit for `images` <= group images, after which the last block is whole.
  std::int64_t cover(std::int64_t images) const {
    const std::int64_t used = images * per_image, padded = round_up(used, kPixels);
    for (std::int64_t i = used; i < padded; ++i) {
      source[i] = source[used - 1];
      destination[i] = destination[used - 1];
      image[i] = image[used - 1];
    }
    return padded;
  }
};

/// Images handled together, for about `wanted` pixels: what is loaded once for them must be worth it.
std::int64_t group_size(const Gathers& all, std::int64_t wanted) {
  const std::int64_t pixels = all.gather[0].rows * all.gather[0].columns;
  return pixels >= wanted ? 1 : (wanted + pixels - 1) / pixels;
}

std::int64_t all_taps(const Gathers& all) {
  std::int64_t taps = 0;
  for (std::int64_t g = 0; g < all.count; ++g) taps += all.gather[g].tap_count;
  return taps;
}

/// [tap of every gather][source channel][destination channel, padded]: weights [out, in, k], as they are used.
void pack(const Gathers& all, const ConvShape& s, bool forward, const float* weight, float* packed) {
  const std::int64_t window = std::int64_t{s.kernel} * s.kernel, from = forward ? s.in : s.out,
                     to = forward ? s.out : s.in;
  const std::int64_t padded = round_up(to, kLanes), matrix = from * padded;
  const std::int64_t weight_from = forward ? window : s.in * window, weight_to = forward ? s.in * window : window;
  const Scratch<float> single(window * matrix);
  if (padded != to) clear(single, window * matrix);
  for (std::int64_t k = 0; k < window; ++k) {
    for (std::int64_t i = 0; i < from; ++i) {
      const float* const column = weight + k + i * weight_from;
      float* const row = single + k * matrix + i * padded;
      for (std::int64_t o = 0; o < to; ++o) row[o] = column[o * weight_to];
    }
  }
  for (std::int64_t g = 0; g < all.count; ++g) {
    for (std::int64_t t = 0; t < all.gather[g].tap_count; ++t, packed += matrix) {
      bool first = true;
      for (std::int64_t k = 0; k < window; ++k) {
        if ((all.gather[g].taps[t].weights >> k & 1) == 0) continue;
        const float* const term = single + k * matrix;
        if (first) copy(packed, term, matrix);
        else
          for (std::int64_t i = 0; i < matrix; i += kLanes) store(packed + i, load(packed + i) + load(term + i));
        first = false;
      }
    }
  }
}

/// What is added to a product: per image and channel (padded), and per pixel (null: nothing).
struct Added {
  const float* base;
  const float* residual;
};

/// kPixels pixels times V vectors of channels from `channel` on.
template <int V>
GUDA_BLOCK void pixel_block(const float* source, const std::int32_t* from, const std::int32_t* to,
                            const std::int32_t* image, const std::int32_t* taps, std::int64_t tap_count,
                            std::int64_t inner, const float* weight, std::int64_t padded, std::int64_t channels,
                            std::int64_t channel, const Added& added, float* result) {
  Lanes sum[kPixels][V];
  GUDA_UNROLL for (int p = 0; p < kPixels; ++p) {
    GUDA_UNROLL for (int v = 0; v < V; ++v) sum[p][v] = load(added.base + image[p] * padded + channel + v * kLanes);
  }
  const float* pixel[kPixels];
  for (int p = 0; p < kPixels; ++p) pixel[p] = source + from[p];
  const float* w = weight + channel;
  for (std::int64_t t = 0; t < tap_count; ++t) {
    // One running index for all pixels: a tap has few channels, and new addresses for each pixel would cost as much.
    const std::int64_t end = taps[t] + inner;
    for (std::int64_t i = taps[t]; i < end; ++i, w += padded) {
      Lanes row[V];
      for (int v = 0; v < V; ++v) row[v] = load(w + v * kLanes);
      for (int p = 0; p < kPixels; ++p) {
        const float value = pixel[p][i];
        for (int v = 0; v < V; ++v) sum[p][v] += row[v] * value;
      }
    }
  }
  GUDA_UNROLL for (int p = 0; p < kPixels; ++p) {
    GUDA_UNROLL for (int v = 0; v < V; ++v) {
      const std::int64_t at = to[p] + channel + v * kLanes, left = channels - channel - v * kLanes;
      if (left >= kLanes) {
        store(result + at, added.residual != nullptr ? sum[p][v] + load(added.residual + at) : sum[p][v]);
      } else {
        store_part(result + at,
                   added.residual != nullptr ? sum[p][v] + load_part(added.residual + at, left) : sum[p][v], left);
      }
    }
  }
}

void tap_offsets(const Gather& g, const Source& source, std::int32_t (&offsets)[16]) {
  for (std::int64_t t = 0; t < g.tap_count; ++t) {
    offsets[t] = static_cast<std::int32_t>(source.offset(g.taps[t].y, g.taps[t].x) - source.offset(0, 0));
  }
}

/// Runs one gather over the images in `source`.
void run(const Gather& g, const Pixels& pixels, std::int64_t images, const Source& layout, const float* source,
         std::int64_t inner, const float* weight, std::int64_t channels, const Added& added, float* result) {
  const std::int64_t padded = round_up(channels, kLanes), count = pixels.cover(images);
  std::int32_t taps[16];
  tap_offsets(g, layout, taps);
  // What some pixels read stays in the first-level cache for all channels.
  for (std::int64_t first = 0; first < count; first += kChunk) {
    const std::int64_t end = count - first < kChunk ? count : first + kChunk;
    over_vectors(padded, [&]<int V>(std::int64_t channel) __attribute__((always_inline)) {
      for (std::int64_t p = first; p < end; p += kPixels) {
        pixel_block<V>(source, pixels.source + p, pixels.destination + p, pixels.image + p, taps, g.tap_count, inner,
                       weight, padded, channels, channel, added, result);
      }
    });
  }
}

/// kTogether pixels times O output channels: vectors run over the input channels. Weights [tap][out][in, padded].
template <int O>
GUDA_BLOCK void narrow_block(const float* source, const std::int32_t* from, const std::int32_t* to,
                             const std::int32_t* image, const std::int32_t* taps, std::int64_t tap_count,
                             std::int64_t inner, const float* weight, const Added& added, std::int64_t base_stride,
                             float* result) {
  constexpr int kTogether = 4;
  static_assert(kPixels % kTogether == 0);
  const std::int64_t padded = round_up(inner, kLanes);
  Lanes sum[O][kTogether] = {};
  const float* pixel[kTogether];
  for (int p = 0; p < kTogether; ++p) pixel[p] = source + from[p];
  for (std::int64_t t = 0; t < tap_count; ++t, weight += O * padded) {
    for (std::int64_t i = 0; i < inner; i += kLanes) {
      Lanes row[O];
      for (int o = 0; o < O; ++o) row[o] = load(weight + o * padded + i);
      for (int p = 0; p < kTogether; ++p) {
        const Lanes x = load_up_to(pixel[p] + taps[t] + i, inner - i);
        for (int o = 0; o < O; ++o) sum[o][p] += x * row[o];
      }
    }
  }
  GUDA_UNROLL for (int o = 0; o < O; ++o) {
    float sums[kTogether];
    sums_of_lanes(sum[o][0], sum[o][1], sum[o][2], sum[o][3], sums);
    for (int p = 0; p < kTogether; ++p) {
      const std::int64_t at = to[p] + o;
      result[at] =
          sums[p] + added.base[image[p] * base_stride + o] + (added.residual != nullptr ? added.residual[at] : 0);
    }
  }
}

/// Few output channels, at most kNarrow.
void run_narrow(const Gather& g, const Pixels& pixels, std::int64_t images, const Source& layout, const float* source,
                const ConvShape& s, const float* weight, const Added& added, std::int64_t base_stride, float* result) {
  std::int32_t taps[16];
  tap_offsets(g, layout, taps);
  const std::int64_t count = pixels.cover(images);
  const auto over_pixels = [&]<int O>() __attribute__((always_inline)) {
    for (std::int64_t p = 0; p < count; p += 4) {
      narrow_block<O>(source, pixels.source + p, pixels.destination + p, pixels.image + p, taps, g.tap_count, s.in,
                      weight, added, base_stride, result);
    }
  };
  if (s.out == 1) over_pixels.template operator()<1>();
  else if (s.out == 2) over_pixels.template operator()<2>();
  else if (s.out == 3) over_pixels.template operator()<3>();
  else over_pixels.template operator()<4>();
}

/// All gathers over all images: the forward pass and the way back to the input.
void convolve(const Gathers& all, const ConvShape& s, bool forward, std::int64_t images, const float* x,
              const float* weight, const float* bias, const float* shift, const float* residual, float* y) {
  const std::int64_t inner = forward ? s.in : s.out, channels = forward ? s.out : s.in,
                     padded = round_up(channels, kLanes);
  const std::int64_t group = group_size(all, 2 * kPixels);
  const std::int64_t y_size = all.destination_height * all.destination_width * channels;
  const std::int64_t x_size = all.source_height * all.source_width * inner;
  const bool narrow = forward && s.out <= kNarrow;
  const std::int64_t matrix = narrow ? s.out * round_up(s.in, kLanes) : inner * padded;
  const Scratch<float> packed(all_taps(all) * matrix), base(group * padded);
  pack(all, s, forward && !narrow, weight, packed);
  Source source(all, inner, s.kernel, group);
  clear(base, group * padded);
  const float* w = packed;
  for (std::int64_t g = 0; g < all.count; ++g) {
    const Pixels pixels(all, all.gather[g], source, channels, group);
    for (std::int64_t n = 0; n < images; n += group) {
      const std::int64_t count = images - n < group ? images - n : group;
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t c = 0; c < channels; ++c) {
          base[i * padded + c] =
              (bias != nullptr ? bias[c] : 0) + (shift != nullptr ? shift[(n + i) * channels + c] : 0);
        }
      }
      const Added added{base, residual != nullptr ? residual + n * y_size : nullptr};
      const float* const from = source.take(x + n * x_size, count);
      if (narrow) run_narrow(all.gather[g], pixels, count, source, from, s, w, added, padded, y + n * y_size);
      else run(all.gather[g], pixels, count, source, from, inner, w, channels, added, y + n * y_size);
    }
    w += all.gather[g].tap_count * matrix;
  }
}

/// Adds x dy over `count` pixels for T taps: gradient [tap][out][in, padded] of one output channel and vector of input
/// channels.
template <int T>
void narrow_gradient(const float* x, const Pixels& pixels, std::int64_t count, const std::int32_t* taps,
                     const float* dy, std::int64_t left, float* gradient, std::int64_t tap_stride) {
  Lanes sum[T];
  for (int t = 0; t < T; ++t) sum[t] = load(gradient + t * tap_stride);
  for (std::int64_t p = 0; p < count; ++p) {
    const float* const pixel = x + pixels.source[p];
    const float d = dy[pixels.destination[p]];
    if (left >= kLanes) {
      for (int t = 0; t < T; ++t) sum[t] += load(pixel + taps[t]) * d;
    } else {
      for (int t = 0; t < T; ++t) sum[t] += load_part(pixel + taps[t], left) * d;
    }
  }
  for (int t = 0; t < T; ++t) store(gradient + t * tap_stride, sum[t]);
}

/// Adds x^T dy over `count` pixels to J input channels times V vectors of output channels.
template <int J, int V>
GUDA_BLOCK void gradient_block(const float* x, const std::int32_t* from, const float* dy, const std::int32_t* to,
                               std::int64_t count, float* gradient, std::int64_t padded) {
  Lanes sum[J][V];
  for (int j = 0; j < J; ++j) {
    for (int v = 0; v < V; ++v) sum[j][v] = load(gradient + j * padded + v * kLanes);
  }
  for (std::int64_t p = 0; p < count; ++p) {
    const float* const pixel = x + from[p];
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = load(dy + to[p] + v * kLanes);
    for (int j = 0; j < J; ++j) {
      for (int v = 0; v < V; ++v) sum[j][v] += row[v] * pixel[j];
    }
  }
  for (int j = 0; j < J; ++j) {
    for (int v = 0; v < V; ++v) store(gradient + j * padded + v * kLanes, sum[j][v]);
  }
}

/// Adds the gradient of the weights, a tap and a block of channels at a time.
void add_weight_gradient(const ConvShape& s, std::int64_t images, const float* x, const float* dy, float* dweight) {
  const Gathers all = forward_gathers(s);
  const bool narrow = s.out <= kNarrow;
  const std::int64_t out_padded = round_up(s.out, kLanes), in_padded = round_up(s.in, kLanes),
                     group = group_size(all, 64);
  const std::int64_t window = std::int64_t{s.kernel} * s.kernel;
  const std::int64_t y_pixels = all.destination_height * all.destination_width,
                     x_size = all.source_height * all.source_width * s.in;
  const std::int64_t matrix = narrow ? s.out * in_padded : s.in * out_padded;  // [out][in] or [in][out] of one tap
  const Scratch<float> gradient(all_taps(all) * matrix);
  clear(gradient, all_taps(all) * matrix);
  Source source(all, s.in, s.kernel, group);
  const bool whole_vectors = narrow || out_padded == s.out;
  const std::int64_t row_size = whole_vectors ? s.out : out_padded;
  const Scratch<float> widened(whole_vectors ? 1 : group * y_pixels * out_padded);
  if (!whole_vectors) clear(widened, group * y_pixels * out_padded);

  std::int64_t first_tap = 0;
  for (std::int64_t g = 0; g < all.count; ++g) {
    const Gather& gather = all.gather[g];
    const Pixels pixels(all, gather, source, row_size, group);
    std::int32_t taps[16];
    tap_offsets(gather, source, taps);
    float* const sums = gradient + first_tap * matrix;
    for (std::int64_t n = 0; n < images; n += group) {
      const std::int64_t count = images - n < group ? images - n : group, visits = count * pixels.per_image;
      const float* const from = source.take(x + n * x_size, count);
      const float* rows = dy + n * y_pixels * s.out;
      if (!whole_vectors) {
        for (std::int64_t p = 0; p < count * y_pixels; ++p) copy(widened + p * out_padded, rows + p * s.out, s.out);
        rows = widened;
      }
      if (narrow) {
        for (std::int64_t o = 0; o < s.out; ++o) {
          for (std::int64_t i = 0; i < s.in; i += kLanes) {
            float* const to = sums + o * in_padded + i;
            if (gather.tap_count == 9)
              narrow_gradient<9>(from + i, pixels, visits, taps, rows + o, s.in - i, to, matrix);
            else if (gather.tap_count == 4)
              narrow_gradient<4>(from + i, pixels, visits, taps, rows + o, s.in - i, to, matrix);
            else narrow_gradient<1>(from + i, pixels, visits, taps, rows + o, s.in - i, to, matrix);
          }
        }
        continue;
      }
      for (std::int64_t first = 0; first < visits; first += kChunk) {
        const std::int64_t chunk = visits - first < kChunk ? visits - first : kChunk;
        if (s.kernel == 1) {  // read as it lies in memory, by channels: ask for the next pixels in time
          const std::int64_t next = first + kChunk, more = visits - next < kChunk ? visits - next : kChunk;
          if (more > 0) fetch(from + next * s.in, more * s.in);
        }
        for (std::int64_t t = 0; t < gather.tap_count; ++t) {
          const auto block = [&]<int J, int V>(std::int64_t i, std::int64_t o) __attribute__((always_inline)) {
            gradient_block<J, V>(from + taps[t] + i, pixels.source + first, rows + o, pixels.destination + first, chunk,
                                 sums + t * matrix + i * out_padded + o, out_padded);
          };
          over_vectors(out_padded, [&]<int V>(std::int64_t o) __attribute__((always_inline)) {
            std::int64_t i = 0;
            if constexpr (V == 1) {
              for (; i + 2 * kInner <= s.in; i += 2 * kInner) block.template operator()<2 * kInner, 1>(i, o);
            }
            for (; i + kInner <= s.in; i += kInner) block.template operator()<kInner, V>(i, o);
            for (; i < s.in; ++i) block.template operator()<1, V>(i, o);
          });
        }
      }
    }
    for (std::int64_t t = 0; t < gather.tap_count; ++t) {
      const float* const tap = sums + t * matrix;
      for (std::int64_t k = 0; k < window; ++k) {
        if ((gather.taps[t].weights >> k & 1) == 0) continue;
        for (std::int64_t o = 0; o < s.out; ++o) {
          for (std::int64_t i = 0; i < s.in; ++i) {
            dweight[(o * s.in + i) * window + k] += narrow ? tap[o * in_padded + i] : tap[i * out_padded + o];
          }
        }
      }
    }
    first_tap += gather.tap_count;
  }
}

/// sum[channel] over the pixels.
void sum_pixels(const float* dy, std::int64_t pixels, std::int64_t channels, float* sum) {
  over_columns(channels, [&]<int V>(auto get, auto put, std::int64_t c) __attribute__((always_inline)) {
    Lanes total[V] = {};
    for (std::int64_t p = 0; p < pixels; ++p) {
      for (int v = 0; v < V; ++v) total[v] += get(dy + p * channels + c + v * kLanes);
    }
    for (int v = 0; v < V; ++v) put(sum + c + v * kLanes, total[v]);
  });
}

}  // namespace

void conv_forward(const ConvShape& s, std::int64_t images, const float* x, const float* weight, const float* bias,
                  const float* shift, const float* residual, float* y) {
  if (winograd_pays(s)) winograd_convolve(s, true, images, x, weight, bias, shift, residual, y);
  else convolve(forward_gathers(s), s, true, images, x, weight, bias, shift, residual, y);
}

void conv_backward_input(const ConvShape& s, std::int64_t images, const float* weight, const float* dy, float* dx) {
  if (winograd_pays(s)) winograd_convolve(s, false, images, dy, weight, nullptr, nullptr, nullptr, dx);
  else convolve(backward_gathers(s), s, false, images, dy, weight, nullptr, nullptr, nullptr, dx);
}

void conv_backward_weight(const ConvShape& s, std::int64_t images, const float* x, const float* dy, float* dweight,
                          float* dshift) {
  if (winograd_pays(s)) winograd_backward_weight(s, images, x, dy, dweight);
  else add_weight_gradient(s, images, x, dy, dweight);
  const std::int64_t pixels = s.out_height() * s.out_width();
  for (std::int64_t n = 0; n < images; ++n) sum_pixels(dy + n * pixels * s.out, pixels, s.out, dshift + n * s.out);
}

}  // namespace guda::worker::kernels::GUDA_ISA
