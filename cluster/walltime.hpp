#pragma once
// When this run must have left: the end of the Slurm job, or a deadline that a person gave.
#include <optional>
#include <string>

#include "cluster/topology.hpp"

namespace guda::cluster {

/// Unix time at which the Slurm job of `environment` ends: SLURM_JOB_END_TIME, which old versions do not set, else what
/// squeue says. Nothing outside Slurm, for jobs without limit, and where squeue does not answer within 10 s.
[[nodiscard]] std::optional<double> slurm_job_end(const Environment& environment);

/// squeue's answer to -o %e ("2026-11-24T18:00:00", local time); nothing for "NONE", "N/A" and the like.
[[nodiscard]] std::optional<double> parse_squeue_end(const std::string& text);

/// --deadline: "90s", "45m", "12h", "2d", "1-12:00:00" from `now` on, or a moment "2026-11-25T06:00[:00]" in local
/// time, as Unix time. Throws Error naming these forms, and for a moment that has passed.
[[nodiscard]] double parse_deadline(const std::string& text, double now);

/// "12h", "30m", "90s", "2d" or Slurm's "1-12:00:00"; seconds. A bare number is refused: it could mean minutes or
/// seconds.
[[nodiscard]] double parse_duration(const std::string& text);

}  // namespace guda::cluster
