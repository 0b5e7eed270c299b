#pragma once
// Second results of a job: a free check of determinism. A late or repeated attempt must have computed the same bytes.
#include <string>

#include "jobs/spec.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct DuplicateVerdict {
  enum class Kind { equal, different, unknown } kind = Kind::unknown;
  double max_difference = 0;  ///< largest absolute difference of two values
  std::string detail;         ///< what differs, or why nobody can tell

  [[nodiscard]] const char* name() const noexcept;
};

/// Compares rows bit for bit and metrics but for times. Unknown when rows can't be read (any more).
[[nodiscard]] DuplicateVerdict compare_duplicate(const RunLayout& run, const Commit& first, const RowsRef& rows,
                                                 const Json& metrics);

/// Whether equal numerics must give equal bytes.
[[nodiscard]] bool is_deterministic(const jobs::Numerics& numerics);

}  // namespace guda::orchestrator
