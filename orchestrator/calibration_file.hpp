#pragma once
// Where measurements of devices are kept, and how they are made.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cluster/topology.hpp"
#include "jobs/calibration.hpp"

namespace guda::orchestrator {

/// $GUDA_CALIBRATION, else $XDG_CONFIG_HOME/guda/calibration.json, else ~/.config/guda/calibration.json.
[[nodiscard]] std::filesystem::path calibration_path();

/// Empty when there is no file yet. Throws Error naming the file when it is damaged.
[[nodiscard]] jobs::Calibration load_calibration(const std::filesystem::path& file);

/// Adds or replaces the model's measurements of one device kind, by rename.
void store_calibration(const std::filesystem::path& file, const std::string& device_kind,
                       const jobs::DeviceCalibration& measured);

/// Now, as DeviceCalibration::measured_at has it.
[[nodiscard]] std::string time_of_measurement();

/// "cpu avx2 AMD EPYC 7763 x1" (processor, threads per worker) or "cuda NVIDIA A100-SXM4-80GB". Numbers of one kind do
/// not serve another.
[[nodiscard]] std::string device_kind(const jobs::Numerics& numerics, const std::vector<cluster::Gpu>& gpus);

}  // namespace guda::orchestrator
