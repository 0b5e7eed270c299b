#pragma once
// What a job is called: the digest of its work and of everything that its numbers depend on (docs/formats.md).
#include <optional>

#include "common/digest.hpp"
#include "jobs/plan.hpp"
#include "jobs/spec.hpp"

namespace guda::jobs {

/// `dataset`: the content of the data set, for jobs that read it.
[[nodiscard]] Digest job_digest(const Work& work, const Numerics& numerics, const std::optional<Digest>& dataset);

/// False when this version of guda calls some kind of the plan's jobs otherwise: it would compute other numbers, if
/// only by rounding, than the version that planned them.
[[nodiscard]] bool of_this_version(const Plan& plan);

}  // namespace guda::jobs
