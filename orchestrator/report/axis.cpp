#include "orchestrator/report/axis.hpp"

#include <algorithm>
#include <cmath>

namespace guda::orchestrator::report {
namespace {

double warped(const Axis& axis, double value) {
  switch (axis.kind) {
    case ScaleKind::log:
      return std::log(value);
    case ScaleKind::symlog:
      return std::asinh(value / axis.linear_within);
    case ScaleKind::linear:
      break;
  }
  return value;
}

std::vector<double> linear_ticks(double low, double high, std::size_t wanted) {
  const double rough = (high - low) / static_cast<double>(std::max<std::size_t>(1, wanted));
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  const double step = power * (ratio > 5 ? 10 : ratio > 2 ? 5 : ratio > 1 ? 2 : 1);
  std::vector<double> found;
  const double slack = 1e-9 * (high - low);
  for (double n = std::ceil((low - slack) / step); n * step <= high + slack; ++n) found.push_back(n * step);
  return found;
}

/// Powers of ten in [from, high], at most about `wanted`.
std::vector<double> decades(double from, double high, std::size_t wanted) {
  const int first = static_cast<int>(std::ceil(std::log10(from) - 1e-9));
  const int last = static_cast<int>(std::floor(std::log10(high) + 1e-9));
  const int stride = std::max(1, (last - first + 1) / static_cast<int>(std::max<std::size_t>(1, wanted)));
  std::vector<double> found;
  for (int n = last; n >= first; n -= stride) found.push_back(std::pow(10.0, n));
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace

double Axis::at(double value) const {
  const double inside = std::clamp(value, low, high);
  const double span = warped(*this, high) - warped(*this, low);
  return span == 0 ? from : from + (to - from) * (warped(*this, inside) - warped(*this, low)) / span;
}

std::vector<double> ticks(const Axis& axis, std::size_t wanted) {
  if (!(axis.high > axis.low)) return {axis.low};
  if (axis.kind == ScaleKind::linear) return linear_ticks(axis.low, axis.high, wanted);
  if (axis.kind == ScaleKind::log) return decades(axis.low, axis.high, wanted);
  std::vector<double> found;
  if (axis.low < -axis.linear_within) {
    for (double size : decades(axis.linear_within, -axis.low, wanted / 2)) found.push_back(-size);
    std::reverse(found.begin(), found.end());
  }
  if (axis.low <= 0 && axis.high >= 0) found.push_back(0);
  if (axis.high > axis.linear_within)
    for (double size : decades(axis.linear_within, axis.high, wanted / 2)) found.push_back(size);
  return found;
}

}  // namespace guda::orchestrator::report
