#pragma once
// What guda bench-device measured, for plans and for people. Pure.
#include <string>

#include "common/json.hpp"
#include "jobs/calibration.hpp"

namespace guda::orchestrator {

/// The rates of the reference networks (jobs/reference_networks.hpp) as a plan uses them: score and sample from the
/// fastest forward in float32, train, and the unlearning operator that was measured. Rows that were skipped give none.
/// `bench` is guda-worker bench-device's output; throws Error when it is none.
[[nodiscard]] jobs::DeviceCalibration calibration_from_bench(const Json& bench);

/// A line a row: seconds, rate, share of the measured peak or of the copying rate, and the target, which is of an
/// H100-class GPU unless it says CPU (docs/performance.md).
[[nodiscard]] std::string bench_table(const Json& bench);

/// What a row aims at, "" where nothing was set: `device` is cpu or cuda.
[[nodiscard]] std::string bench_target(const Json& row, const std::string& device);

}  // namespace guda::orchestrator
