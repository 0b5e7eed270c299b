#include "orchestrator/calibration_file.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name") && !line.starts_with("Processor")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

fs::path calibration_path() {
  if (const char* file = std::getenv("GUDA_CALIBRATION"); file != nullptr && *file != '\0') return file;
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base =
      config != nullptr && *config != '\0' ? fs::path(config) : fs::path(home != nullptr ? home : ".") / ".config";
  return base / "guda" / "calibration.json";
}

jobs::Calibration load_calibration(const fs::path& file) {
  if (!fs::exists(file)) return {};
  try {
    return jobs::calibration_from_json(Json::parse(read_file(file)));
  } catch (const Json::exception& e) {
    throw Error(file.string() + " is damaged: " + e.what() +
                ". Cure: delete it; guda doctor --calibrate writes a new one.");
  } catch (const Error& e) {
    throw Error(file.string() + ": " + e.what());
  }
}

void store_calibration(const fs::path& file, const std::string& kind, const jobs::DeviceCalibration& measured) {
  jobs::Calibration all = load_calibration(file);
  jobs::DeviceCalibration& device = all[kind];
  device.measured_at = measured.measured_at;
  device.workers = measured.workers;
  device.device_memory = measured.device_memory;
  if (!measured.bench.empty()) device.bench = measured.bench;
  for (const auto& [key, model] : measured.models) device.models[key] = model;
  fs::create_directories(file.parent_path().empty() ? "." : file.parent_path());
  replace_file(file, jobs::to_json(all).dump(1) + "\n", true);
}

std::string time_of_measurement() {
  const std::time_t now = std::time(nullptr);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  return stamp;
}

std::string device_kind(const jobs::Numerics& numerics, const std::vector<cluster::Gpu>& gpus) {
  if (numerics.device == "cuda") return "cuda " + (gpus.empty() ? std::string("unknown GPU") : gpus.front().model);
  return fmt::format("{} {} {} x{}", numerics.device, numerics.isa, processor_name(), numerics.threads);
}

}  // namespace guda::orchestrator
