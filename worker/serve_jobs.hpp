#pragma once
// The worker's loop: one job at a time from the agent, rows appended and fsynced before a job is reported done.
#include <filesystem>
#include <string>

namespace guda::worker {

/// Serves until the agent's end of `fd` closes. Loads plan.json and the data set once. Returns the exit code.
int serve_jobs(const std::filesystem::path& run_folder, const std::string& segment, int fd, int threads);

}  // namespace guda::worker
