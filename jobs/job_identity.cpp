#include "jobs/job_identity.hpp"

#include <iterator>
#include <set>

namespace guda::jobs {
namespace {

/// Bumped by hand when a kind of job starts to compute something else, be it another rounding; part of every digest.
constexpr std::uint32_t kSemantics[] = {/*train*/ 3,     /*unlearn*/ 3,  /*sample*/ 3, /*score*/ 3,
                                        /*attribute*/ 1, /*features*/ 3, /*mirror*/ 2, /*component*/ 2};
static_assert(std::size(kSemantics) == std::variant_size_v<Work>);

}  // namespace

Digest job_digest(const Work& work, const Numerics& numerics, const std::optional<Digest>& dataset) {
  Json identity = to_json(work);
  identity["semantics"] = kSemantics[work.index()];
  identity["numerics"] = {
      {"device", numerics.device}, {"isa", numerics.isa}, {"dtype", numerics.dtype}, {"threads", numerics.threads}};
  if (numerics.deterministic) identity["numerics"]["deterministic"] = true;
  if (dataset) identity["dataset"] = dataset->hex;
  return digest_of(identity.dump());
}

bool of_this_version(const Plan& plan) {
  std::set<std::size_t> known;  // kinds: one job tells for all
  for (const JobSpec& job : plan.jobs) {
    if (!known.insert(job.work.index()).second) continue;
    if (job.digest != job_digest(job.work, plan.numerics, std::nullopt) &&
        job.digest != job_digest(job.work, plan.numerics, plan.dataset)) {
      return false;
    }
  }
  return true;
}

}  // namespace guda::jobs
