#include "orchestrator/failure_verdict.hpp"

#include <doctest/doctest.h>

#include <string>

namespace guda::orchestrator {
namespace {

JobTrouble job(std::uint32_t failures, std::size_t failed_on, std::uint32_t losses, std::size_t lost_with) {
  JobTrouble s;
  s.failures = failures;
  s.losses = losses;
  for (std::size_t i = 0; i < failed_on; ++i) s.failed_devices.insert("a/gpu" + std::to_string(i));
  for (std::size_t i = 0; i < lost_with; ++i) s.lost_devices.insert("b/gpu" + std::to_string(i));
  return s;
}

}  // namespace

TEST_CASE("verdict: a job is given up after losses of three devices, or six losses, whatever else happened to it") {
  for (std::uint32_t losses = 1; losses <= 7; ++losses) {
    for (std::size_t devices = 1; devices <= losses; ++devices) {
      for (std::uint32_t failures = 0; failures <= 7; ++failures) {
        for (std::size_t usable = 0; usable <= 4; ++usable) {
          const JobTrouble s = job(failures, failures > 0 ? 1 : 0, losses, devices);
          CHECK((judge(s, ErrorClass::lost, usable, {}) == Verdict::quarantine) == (devices >= 3 || losses >= 6));
        }
      }
    }
  }
}

TEST_CASE("verdict: losses bring no crash nearer to its limit") {
  for (std::uint32_t failures = 1; failures <= 7; ++failures) {
    for (std::size_t devices = 1; devices <= failures; ++devices) {
      for (std::size_t usable = 0; usable <= 4; ++usable) {
        for (std::uint32_t losses = 0; losses <= 5; ++losses) {
          const bool enough = (failures >= 3 && (devices >= 2 || usable < 2)) || failures >= 6;
          const JobTrouble s = job(failures, devices, losses, losses > 0 ? 1 : 0);
          CHECK((judge(s, ErrorClass::crash, usable, {}) == Verdict::quarantine) == enough);
        }
      }
    }
  }
}

TEST_CASE("verdict: whatever is given up has a cure") {
  for (unsigned char c = 0; c <= static_cast<unsigned char>(ErrorClass::lost); ++c) {
    CHECK_FALSE(cure_of(static_cast<ErrorClass>(c)).empty());
  }
}

TEST_CASE("verdict: the cure of an out of memory names the keys to change") {
  const std::string cure = cure_of(ErrorClass::out_of_memory);
  for (const char* key : {"scoring.batch", "resources.micro_batch", "queries[].sampler.batch"})
    CHECK(cure.find(key) != std::string::npos);
}

}  // namespace guda::orchestrator
