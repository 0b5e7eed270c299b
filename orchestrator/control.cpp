#include "orchestrator/control.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/process.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

constexpr std::array kKinds{"stop", "drain", "stop_now", "retry"};
constexpr std::uintmax_t kMaxRequest = 4U << 20;

}  // namespace

const char* to_string(ControlRequest::Kind kind) noexcept { return kKinds[static_cast<std::size_t>(kind)]; }

void to_json(Json& j, const ControlRequest& r) {
  Json jobs = Json::array();
  for (const Digest& job : r.jobs) jobs.push_back(job.hex);
  j = {{"schema", 1},  {"kind", to_string(r.kind)}, {"epoch", r.epoch}, {"every_job", r.every_job},
       {"jobs", jobs}, {"unfence", r.unfence},      {"by", r.by}};
}

void from_json(const Json& j, ControlRequest& r) {
  const auto kind = std::find(kKinds.begin(), kKinds.end(), j.at("kind").get<std::string>());
  if (kind == kKinds.end()) throw Error("unknown kind of request");
  r.kind = static_cast<ControlRequest::Kind>(kind - kKinds.begin());
  j.at("epoch").get_to(r.epoch);
  j.at("every_job").get_to(r.every_job);
  for (const Json& job : j.at("jobs")) r.jobs.push_back(Digest{job.get<std::string>()});
  j.at("unfence").get_to(r.unfence);
  j.at("by").get_to(r.by);
}

fs::path post_control(const RunLayout& run, const ControlRequest& request) {
  make_directories(run.control());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto file =
      run.control() /
      fmt::format("{:020}-{}.json", std::chrono::duration_cast<std::chrono::microseconds>(now).count(), ::getpid());
  replace_file(file, Json(request).dump(1) + "\n", true);
  return file;
}

std::vector<ControlRequest> take_control(const RunLayout& run, std::uint32_t epoch) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator entry(run.control(), code), end; !code && entry != end; entry.increment(code)) {
    if (entry->path().extension() == ".json") files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  std::vector<ControlRequest> taken;
  for (const fs::path& file : files) {
    try {
      std::string text;
      if (fs::file_size(file) <= kMaxRequest) text = read_file(file);
      if (!fs::remove(file)) continue;
      auto request = Json::parse(text).get<ControlRequest>();
      if (request.epoch == epoch) taken.push_back(std::move(request));
    } catch (const std::exception&) {
      // Not a request, or somebody else took it.
    }
  }
  return taken;
}

std::string who_am_i() {
  const passwd* user = ::getpwuid(::getuid());
  return fmt::format("{}@{}", user ? user->pw_name : std::to_string(::getuid()), host_name());
}

}  // namespace guda::orchestrator
