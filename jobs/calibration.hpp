#pragma once
// What was measured about a device: seconds per job = fixed + FLOPs / rate, for each cost class and model. Written by
// `guda doctor --calibrate` and `guda bench-device`, read by plans. Pure; where the file lies is the caller's business.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// One cost class of one model on one device kind.
struct Rate {
  double fixed = 0;   ///< s per job that do not depend on its size
  double flops = 0;   ///< FLOP/s of one worker while all workers of the node are busy
  double spread = 0;  ///< relative, between workers and repetitions: (largest - smallest) / mean
};

struct ModelCalibration {
  double macs = 0;                      ///< of one forward: finds the nearest model when there is none of our own
  std::map<std::string, Rate> classes;  ///< by cost_class()
};

struct DeviceCalibration {
  std::string measured_at;                         ///< UTC
  std::uint32_t workers = 0;                       ///< that were busy at once
  std::uint64_t device_memory = 0;                 ///< bytes; 0: not known
  std::map<std::string, ModelCalibration> models;  ///< by model_key()
  Json bench = Json::object();                     ///< what guda bench-device measured; empty: it has not
};

/// By device kind, e.g. "cpu avx2 AMD EPYC 7763 x1" or "cuda NVIDIA A100-SXM4-80GB".
using Calibration = std::map<std::string, DeviceCalibration>;

[[nodiscard]] Json to_json(const Calibration& calibration);
/// Throws Error when this is no calibration file of ours.
[[nodiscard]] Calibration calibration_from_json(const Json& json);

/// Digest of a model's config: measurements of one model serve exactly this one best.
[[nodiscard]] std::string model_key(const Json& model);

/// A prediction in device-seconds.
struct Cost {
  double p10 = 0, p50 = 0, p90 = 0;
};

/// Predicts jobs of one experiment on one kind of device.
class CostPredictor {
 public:
  /// `device` may be nullptr: nothing is measured, FLOPs are divided by an assumed rate and the range is a factor of
  /// two.
  CostPredictor(const DeviceCalibration* device, const Json& model, const std::string& device_kind);
  [[nodiscard]] Cost of(const JobSpec& job) const;
  /// What the numbers rest on, for people.
  [[nodiscard]] const std::string& basis() const { return basis_; }
  [[nodiscard]] bool measured() const { return model_ != nullptr; }

 private:
  const ModelCalibration* model_ = nullptr;
  double assumed_rate_ = 0, distance_ = 0;  // distance: |log2| between our model's MACs and the measured one's
  std::string basis_;
};

/// FLOP/s assumed of a worker of this kind before anything was measured.
[[nodiscard]] double assumed_flops(const std::string& device_kind);

}  // namespace guda::jobs
