#include "cluster/walltime.hpp"

#include <doctest/doctest.h>

#include <ctime>

#include "common/error.hpp"

namespace guda::cluster {

TEST_CASE("walltime: durations carry their unit, bare numbers are refused") {
  CHECK(parse_duration("90s") == 90);
  CHECK(parse_duration("1.5h") == 5400);
  CHECK(parse_duration("2d") == 172'800);
  CHECK(parse_duration("1-12:00:00") == 129'600);
  for (const char* wrong : {"12", "-3h", "0s", "12hours", "", "h", "nan h", "infh"})
    CHECK_THROWS_AS(static_cast<void>(parse_duration(wrong)), Error);
}

TEST_CASE("walltime: a deadline is a duration from now or a moment that has not passed") {
  CHECK(parse_deadline("10m", 1000) == 1600);
  std::tm t{};
  t.tm_year = 130, t.tm_mon = 0, t.tm_mday = 2, t.tm_hour = 6, t.tm_isdst = -1;
  const double moment = double(std::mktime(&t));
  CHECK(parse_deadline("2030-01-02T06:00", moment - 10) == moment);
  CHECK(parse_deadline("2030-01-02T06:00:00", moment - 10) == moment);
  CHECK_THROWS_AS(static_cast<void>(parse_deadline("2030-01-02T06:00", moment + 10)), Error);
  CHECK_THROWS_AS(static_cast<void>(parse_deadline("2030-13-02T06:00", 0)), Error);
  CHECK_THROWS_AS(static_cast<void>(parse_deadline("2030-01-02T06:00x", 0)), Error);
}

TEST_CASE("walltime: the end of the Slurm job comes from its variable, unlimited jobs have none") {
  const auto with = [](std::string end) {
    return [end = std::move(end)](const std::string& name) -> std::optional<std::string> {
      if (name == "SLURM_JOB_ID") return "1";
      if (name == "SLURM_JOB_END_TIME") return end;
      return std::nullopt;
    };
  };
  CHECK(slurm_job_end(with("1764000000")) == 1764000000.0);
  CHECK_FALSE(slurm_job_end([](const std::string&) { return std::optional<std::string>(); }));
  CHECK_FALSE(parse_squeue_end("NONE"));
  CHECK_FALSE(parse_squeue_end("N/A"));
  CHECK(parse_squeue_end("2030-01-02T06:00:00"));
}

}  // namespace guda::cluster
