#include "jobs/job_identity.hpp"

#include <doctest/doctest.h>

#include "tests/support/fake_plan.hpp"

using namespace guda;

TEST_CASE(
    "job identity: a plan read from its file is of this version, and not once a kind of job computes something else") {
  jobs::Plan plan = jobs::plan_from_json(Json::parse(jobs::to_json(test::small_plan()).dump()));
  CHECK(jobs::of_this_version(plan));
  for (const std::string kind : {"train full", "-0", "score"}) {
    CAPTURE(kind);
    jobs::Plan other = plan;
    const auto at = std::find_if(other.jobs.begin(), other.jobs.end(),
                                 [&](const auto& job) { return job.label.find(kind) != std::string::npos; });
    REQUIRE(at != other.jobs.end());
    for (auto& job : other.jobs)
      if (job.work.index() == at->work.index()) job.digest = digest_of(job.digest.hex);
    CHECK_FALSE(jobs::of_this_version(other));
  }
}

TEST_CASE("job identity: a digest is a function of the work, of what computes it and of the data it reads") {
  const jobs::Plan plan = test::small_plan();
  const jobs::Work& work = plan.jobs.front().work;
  const Digest digest = jobs::job_digest(work, plan.numerics, plan.dataset);
  CHECK(digest == plan.jobs.front().digest);
  CHECK(digest != jobs::job_digest(work, plan.numerics, std::nullopt));
  CHECK(digest != jobs::job_digest(work, plan.numerics, digest_of("other data")));
  jobs::Numerics other = plan.numerics;
  other.isa = "avx512";
  CHECK(digest != jobs::job_digest(work, other, plan.dataset));
  jobs::Work changed = work;
  std::get<jobs::TrainSpec>(changed).seed += 1;
  CHECK(digest != jobs::job_digest(changed, plan.numerics, plan.dataset));
}
