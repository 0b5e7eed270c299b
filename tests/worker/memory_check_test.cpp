#include "worker/memory_check.hpp"

#include <doctest/doctest.h>

#include "jobs/memory.hpp"
#include "tests/support/tiny_study.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

jobs::JobSpec training() {
  jobs::JobSpec job;
  job.label = "train full";
  job.work = test::tiny_training();
  return job;
}

}  // namespace

TEST_CASE(
    "memory check: a job that does not fit is refused before it begins, as out of memory, with numbers and cure") {
  jobs::Experiment experiment;
  experiment.model = test::tiny_model();
  const jobs::JobSpec job = training();
  const double need = jobs::job_memory(job, experiment);
  REQUIRE(need > 100'000);
  int asked = 0, given_up = 0;
  const auto room = [&](double bytes) { return [&asked, bytes] { return ++asked, bytes; }; };
  check_memory(job, experiment, room(need), [&] { ++given_up; });
  CHECK(given_up == 0);
  check_memory(job, experiment, room(0), [&] { ++given_up; });  // nobody knows
  CHECK(given_up == 0);
  // What other jobs left in the process goes first.
  double left = need / 2;
  check_memory(job, experiment, [&] { return left; }, [&] { left = 2 * need; });
  try {
    check_memory(job, experiment, room(need / 2), [&] { ++given_up; });
    FAIL("a job that does not fit was let through");
  } catch (const NotEnoughMemory& e) {
    CHECK(e.error_class() == ErrorClass::out_of_memory);
    const std::string text = e.what();
    for (const char* part : {"train full", "GiB", "gradient_checkpointing", "micro_batch"})
      CHECK(text.find(part) != std::string::npos);
  }
  CHECK(given_up == 1);
}

TEST_CASE("memory check: this machine says what it has") { CHECK(usable_memory(torch::kCPU) > 1e6); }
