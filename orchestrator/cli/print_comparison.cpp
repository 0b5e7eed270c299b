#include "orchestrator/cli/print_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "orchestrator/cli/command_line.hpp"

namespace guda::cli {
using namespace guda::orchestrator;

void print_comparison(const Comparison& comparison, const ComparisonOutput& output) {
  if (output.json) {
    std::cout << to_json(comparison).dump(2) << std::endl;
    return;
  }
  Comparison shown = output.over_groups ? over_groups(comparison) : comparison;
  const std::size_t known = shown.views.size();
  if (!output.all) {
    const bool two = std::any_of(shown.views.begin(), shown.views.end(),
                                 [](const View& v) { return v.kind == ReferenceKind::each; });
    std::erase_if(shown.views, [&](const View& v) {
      return v.draws != "independent" || v.kind != (two ? ReferenceKind::each : ReferenceKind::single);
    });
  }
  std::cout << (output.by_class ? class_table(shown)
                                : comparison_table(shown, static_cast<std::size_t>(terminal_columns())));
  const std::size_t hidden = known - shown.views.size();
  if (hidden > 0)
    std::cout << fmt::format("{} more views (same draws, other references): guda compare RUN --all\n", hidden);
  std::cout.flush();
}

}  // namespace guda::cli
