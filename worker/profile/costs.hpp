#pragma once
// From the spans of some steps to what costs most. Pure.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace guda::worker {

/// One operation on one thread; spans of a thread nest. Times in seconds, `begin` since the recording began.
struct Span {
  std::string name;
  std::uint32_t thread = 0;
  double begin = 0, wall = 0;
  double processor = 0;  ///< of its thread
};

/// All spans of one name together.
struct Cost {
  std::string name;
  std::uint64_t calls = 0;
  double own = 0;    ///< processor seconds without the spans within
  double total = 0;  ///< with them; a span within one of its own name counts once
  bool operator==(const Cost&) const = default;
};

/// Processor seconds that recording a span costs: counted within the span itself, and around it, in what holds it.
struct SpanOverhead {
  double within = 0, around = 0;
};

/// Without what recording costs; by own time, largest first, ties by name.
[[nodiscard]] std::vector<Cost> costs_of(std::vector<Span> spans, const SpanOverhead& overhead = {});

/// A table of the `shown` largest costs and a line for all others: per step, and as shares of `processor`, the
/// processor seconds of all `steps`. What no span covers is a line of its own.
[[nodiscard]] std::string cost_table(std::span<const Cost> costs, std::size_t shown, std::uint64_t steps,
                                     double processor);

/// What none of the spans covers, as a cost of no calls; never below 0.
[[nodiscard]] Cost uncovered(std::span<const Cost> costs, double processor);

}  // namespace guda::worker
