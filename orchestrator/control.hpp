#pragma once
// control/<n>.json: what a person asks of a run that is at work, on this machine or another one. Written by rename,
// taken and removed by the coordinator within a second.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/digest.hpp"
#include "common/json.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct ControlRequest {
  enum class Kind { stop, drain, stop_now, retry };
  Kind kind = Kind::stop;
  std::uint32_t epoch = 0;           ///< the life that is asked; any other one drops the request
  bool every_job = false;            ///< retry: all quarantined jobs
  std::vector<Digest> jobs;          ///< retry: these
  std::vector<std::string> unfence;  ///< retry: devices and nodes that get work again
  std::string by;                    ///< "user@host"
};

[[nodiscard]] const char* to_string(ControlRequest::Kind kind) noexcept;
void to_json(Json& j, const ControlRequest& request);
void from_json(const Json& j, ControlRequest& request);

/// Leaves a request; returns its file, which is gone once the coordinator took it. Throws IoError.
std::filesystem::path post_control(const RunLayout& run, const ControlRequest& request);

/// Takes all requests, oldest first. Those for another life and those that can't be read are dropped. Never throws: a
/// request that can't be removed is not taken.
[[nodiscard]] std::vector<ControlRequest> take_control(const RunLayout& run, std::uint32_t epoch);

/// "user@host" of this process.
[[nodiscard]] std::string who_am_i();

}  // namespace guda::orchestrator
