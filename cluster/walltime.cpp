#include "cluster/walltime.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <ctime>

#include "cluster/node_list.hpp"
#include "common/capture.hpp"
#include "common/error.hpp"

namespace guda::cluster {
namespace {

std::optional<double> local_moment(const std::string& text) {
  std::tm t{};
  char rest = 0;
  t.tm_isdst = -1;
  const int n = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%c", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                            &t.tm_min, &t.tm_sec, &rest);
  if (n != 6 && n != 5) return std::nullopt;
  if (n == 5) {
    t.tm_sec = 0;
    if (std::sscanf(text.c_str(), "%*d-%*d-%*dT%*d:%*d%c", &rest) == 1) return std::nullopt;
  }
  if (t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour > 23 || t.tm_min > 59 ||
      t.tm_sec > 60)
    return std::nullopt;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  const std::time_t moment = std::mktime(&t);
  return moment == -1 ? std::nullopt : std::optional<double>(double(moment));
}

}  // namespace

std::optional<double> parse_squeue_end(const std::string& text) { return local_moment(text); }

std::optional<double> slurm_job_end(const Environment& environment) {
  const auto job = environment("SLURM_JOB_ID");
  if (!job) return std::nullopt;
  if (const auto end = environment("SLURM_JOB_END_TIME");
      end && end->find_first_not_of("0123456789") == std::string::npos && end->size() <= 12) {
    return std::stod(*end);
  }
  if (find_on_path("squeue").empty()) return std::nullopt;
  const Captured said = capture({"squeue", "--noheader", "--jobs", *job, "--format", "%e"}, 10);
  if (said.exit_code != 0) return std::nullopt;
  return parse_squeue_end(said.output.substr(0, said.output.find_first_of(" \n")));
}

double parse_duration(const std::string& text) {
  double value = 0;
  char unit = 0, rest = 0;
  if (std::sscanf(text.c_str(), "%lf%c%c", &value, &unit, &rest) == 2 && std::isfinite(value) && value > 0) {
    switch (unit) {
      case 's':
        return value;
      case 'm':
        return value * 60;
      case 'h':
        return value * 3600;
      case 'd':
        return value * 86400;
      default:
        break;
    }
  }
  if (text.find(':') != std::string::npos) {
    const double seconds = slurm_seconds(text);
    if (seconds > 0) return seconds;
  }
  throw Error(fmt::format("'{}' is no duration. Cure: 90s, 45m, 12h, 2d or Slurm's 1-12:00:00.", text));
}

double parse_deadline(const std::string& text, double now) {
  if (text.find('T') != std::string::npos) {
    const auto moment = local_moment(text);
    if (!moment)
      throw Error(
          fmt::format("'{}' is no moment. Cure: 2026-11-25T06:00 in local time, or a duration such as 12h.", text));
    if (*moment <= now) throw Error(fmt::format("the deadline {} has passed", text));
    return *moment;
  }
  return now + parse_duration(text);
}

}  // namespace guda::cluster
