#pragma once
// One axis of a chart: values to drawing units, and where its ticks belong.
#include <cstddef>
#include <vector>

namespace guda::orchestrator::report {

enum class ScaleKind { linear, log, symlog };

struct Axis {
  ScaleKind kind = ScaleKind::linear;
  double low = 0, high = 1;  ///< values at both ends; log needs low > 0
  double from = 0, to = 1;   ///< drawing units at both ends; from > to turns the axis round
  double linear_within = 1;  ///< symlog: |value| up to this is nearly linear, beyond it nearly logarithmic
  /// Values outside [low, high] are put to the nearer end.
  [[nodiscard]] double at(double value) const;
};

/// Round values within [low, high]: about `wanted` of them on a linear axis; powers of ten (thinned to about `wanted`)
/// on the others, with 0 and both signs on a symlog axis.
[[nodiscard]] std::vector<double> ticks(const Axis& axis, std::size_t wanted);

}  // namespace guda::orchestrator::report
