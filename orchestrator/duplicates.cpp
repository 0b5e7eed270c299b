#include "orchestrator/duplicates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/error.hpp"
#include "common/row_segment.hpp"

namespace guda::orchestrator {
namespace {

Json without_times(Json metrics) {
  if (metrics.is_object()) metrics.erase("seconds");
  return metrics;
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
double largest_difference(const std::vector<T>& a, const std::vector<T>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(double(a[i]) - double(b[i])));
  return largest;
}

}  // namespace

const char* DuplicateVerdict::name() const noexcept {
  switch (kind) {
    case Kind::equal:
      return "equal";
    case Kind::different:
      return "different";
    case Kind::unknown:
      return "unknown";
  }
  return "unknown";
}

DuplicateVerdict compare_duplicate(const RunLayout& run, const Commit& first, const RowsRef& rows,
                                   const Json& metrics) {
  using Kind = DuplicateVerdict::Kind;
  if (const Json a = without_times(first.metrics), b = without_times(metrics); a != b) {
    return {Kind::different, 0, fmt::format("metrics {} and {}", a.dump(), b.dump())};
  }
  if (first.rows.length == 0 && rows.length == 0) return {Kind::equal, 0, "metrics"};
  try {
    const RowRecord a = read_row_record(run.rows(), first.rows), b = read_row_record(run.rows(), rows);
    if (a.rows != b.rows || a.columns != b.columns || a.job != b.job)
      return {Kind::different, 0, "tables of another shape"};
    if (same_bytes(a.losses, b.losses) && same_bytes(a.scores, b.scores)) return {Kind::equal, 0, "rows"};
    const double difference = std::max(largest_difference(a.losses, b.losses), largest_difference(a.scores, b.scores));
    return {Kind::different, difference, fmt::format("values by up to {:.3g}", difference)};
  } catch (const Error& e) {
    return {Kind::unknown, 0, e.what()};
  }
}

bool is_deterministic(const jobs::Numerics& numerics) { return numerics.device == "cpu" || numerics.deterministic; }

}  // namespace guda::orchestrator
