#include "worker/profile/costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace guda::worker {
namespace {

void sort_by_own(std::vector<Cost>& costs) {
  std::sort(costs.begin(), costs.end(),
            [](const Cost& a, const Cost& b) { return a.own != b.own ? a.own > b.own : a.name < b.name; });
}

}  // namespace

std::vector<Cost> costs_of(std::vector<Span> spans, const SpanOverhead& overhead) {
  // Parents before what they contain.
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    if (a.thread != b.thread) return a.thread < b.thread;
    return a.begin != b.begin ? a.begin < b.begin : a.wall > b.wall;
  });
  std::map<std::string, Cost> by_name;
  struct Open {
    const Span* span;
    Cost* cost;
    bool counts;  // in its cost's total
  };
  std::vector<Open> open;
  for (const Span& span : spans) {
    while (!open.empty() && (open.back().span->thread != span.thread ||
                             open.back().span->begin + open.back().span->wall <= span.begin)) {
      open.pop_back();
    }
    Cost& cost = by_name[span.name];
    cost.name = span.name;
    ++cost.calls;
    const double time = span.processor - overhead.within;
    cost.own += time;
    if (!open.empty()) open.back().cost->own -= span.processor + overhead.around;
    for (const Open& outer : open) {
      if (outer.counts) outer.cost->total -= overhead.within + overhead.around;
    }
    const bool within_itself =
        std::any_of(open.begin(), open.end(), [&](const Open& outer) { return outer.cost == &cost; });
    if (!within_itself) cost.total += time;
    open.push_back({&span, &cost, !within_itself});
  }
  std::vector<Cost> costs;
  for (auto& [name, cost] : by_name) costs.push_back(std::move(cost));
  sort_by_own(costs);
  return costs;
}

Cost uncovered(std::span<const Cost> costs, double processor) {
  double covered = 0;
  for (const Cost& cost : costs) covered += cost.own;
  const double rest = std::max(0.0, processor - covered);
  return {"(between operations)", 0, rest, rest};
}

std::string cost_table(std::span<const Cost> costs, std::size_t shown, std::uint64_t steps, double processor) {
  std::vector<Cost> rows(costs.begin(), costs.end());
  rows.push_back(uncovered(costs, processor));
  sort_by_own(rows);
  std::string text = fmt::format("{:>8} {:>7} {:>10} {:>8}  {}\n", "own ms", "share", "with inner", "calls", "a step");
  const double per_step = 1e3 / static_cast<double>(steps);
  const auto line = [&](double own, const std::string& total, double calls, const std::string& name) {
    text += fmt::format("{:8.3f} {:6.1f}% {:>10} {:8.1f}  {}\n", own * per_step, 100 * own / processor, total,
                        calls / static_cast<double>(steps), name);
  };
  double others = 0;
  std::uint64_t other_calls = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i < shown) {
      line(rows[i].own, fmt::format("{:.3f}", rows[i].total * per_step), static_cast<double>(rows[i].calls),
           rows[i].name);
    } else {
      others += rows[i].own;
      other_calls += rows[i].calls;
    }
  }
  if (rows.size() > shown)
    line(others, "", static_cast<double>(other_calls), fmt::format("({} others)", rows.size() - shown));
  return text;
}

}  // namespace guda::worker
