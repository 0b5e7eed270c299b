#include "worker/kernels/conv_paths.hpp"

namespace guda::worker::kernels {
namespace {

/// One axis of a phase: up to four taps.
struct Axis {
  struct Entry {
    std::int8_t offset;
    std::uint8_t weights;  // bit k
  };
  Entry entries[4];
  int count;
};

// y[Y] = sum over k of w[k] x[s Y + k - 1]; enlarged: x[(Y + k - 1) / 2], Y even or odd.
constexpr Axis kPoint{{{0, 1}}, 1};
constexpr Axis kPlain{{{-1, 1}, {0, 2}, {1, 4}}, 3};
constexpr Axis kEnlargedEven{{{-1, 1}, {0, 6}}, 2};
constexpr Axis kEnlargedOdd{{{0, 3}, {1, 4}}, 2};
// And back: dx[X] = sum of w[k] dy[Y] over the (Y, k) that read X.
constexpr Axis kPlainBack{{{1, 1}, {0, 2}, {-1, 4}}, 3};
constexpr Axis kStridedBackEven{{{0, 2}}, 1};
constexpr Axis kStridedBackOdd{{{1, 1}, {0, 4}}, 2};
constexpr Axis kEnlargedBack{{{-1, 4}, {0, 6}, {1, 3}, {2, 1}}, 4};

Gather product(const Axis& y, const Axis& x, int kernel) {
  Gather g{};
  for (int a = 0; a < y.count; ++a) {
    for (int b = 0; b < x.count; ++b) {
      Tap& tap = g.taps[g.tap_count++];
      tap.y = y.entries[a].offset;
      tap.x = x.entries[b].offset;
      for (int ky = 0; ky < kernel; ++ky) {
        for (int kx = 0; kx < kernel; ++kx) {
          if ((y.entries[a].weights >> ky & 1) != 0 && (x.entries[b].weights >> kx & 1) != 0) {
            tap.weights = static_cast<std::uint16_t>(tap.weights | 1U << (ky * kernel + kx));
          }
        }
      }
    }
  }
  return g;
}

/// One gather over all destination pixels.
void whole(Gathers& all, const Axis& axis, int kernel, std::int64_t source_step) {
  Gather g = product(axis, axis, kernel);
  g.rows = all.destination_height;
  g.columns = all.destination_width;
  g.step = 1;
  g.source_step = source_step;
  all.gather[0] = g;
  all.count = 1;
}

/// Four gathers, one for each parity of destination row and column.
void by_parity(Gathers& all, const Axis& even, const Axis& odd, int kernel) {
  for (const int y : {0, 1}) {
    for (const int x : {0, 1}) {
      Gather g = product(y == 0 ? even : odd, x == 0 ? even : odd, kernel);
      g.rows = (all.destination_height - y + 1) / 2;
      g.columns = (all.destination_width - x + 1) / 2;
      g.start_y = y;
      g.start_x = x;
      g.step = 2;
      g.source_step = 1;
      all.gather[all.count++] = g;
    }
  }
}

}  // namespace

Gathers forward_gathers(const ConvShape& s) {
  Gathers all{};
  all.source_height = s.height;
  all.source_width = s.width;
  all.destination_height = s.out_height();
  all.destination_width = s.out_width();
  if (s.enlarge) by_parity(all, kEnlargedEven, kEnlargedOdd, s.kernel);
  else whole(all, s.kernel == 1 ? kPoint : kPlain, s.kernel, s.stride);
  return all;
}

Gathers backward_gathers(const ConvShape& s) {
  Gathers all{};
  all.source_height = s.out_height();
  all.source_width = s.out_width();
  all.destination_height = s.height;
  all.destination_width = s.width;
  if (s.enlarge) whole(all, kEnlargedBack, s.kernel, 2);
  else if (s.stride == 2) by_parity(all, kStridedBackEven, kStridedBackOdd, s.kernel);
  else whole(all, s.kernel == 1 ? kPoint : kPlainBack, s.kernel, 1);
  return all;
}

}  // namespace guda::worker::kernels
