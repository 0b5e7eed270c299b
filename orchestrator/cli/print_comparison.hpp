#pragma once
#include "orchestrator/comparison.hpp"

namespace guda::cli {

struct ComparisonOutput {
  bool json = false, all = false, by_class = false, over_groups = false;
};

/// To stdout: JSON with every view, or tables, by class where asked for. Without `all` only the views that carry
/// claims: independent draws, and with two LOGO seeds the mean of the agreements with each (the one beside which the
/// ceiling stands), else the one reference. `over_groups`: tables with intervals over groups of queries (JSON has
/// both).
void print_comparison(const orchestrator::Comparison& comparison, const ComparisonOutput& output);

}  // namespace guda::cli
