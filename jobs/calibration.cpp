#include "jobs/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "jobs/cost.hpp"

namespace guda::jobs {
namespace {

constexpr double kLeastSpread = 0.1;   // two runs on a quiet machine differ by so much
constexpr double kLeastSeconds = 0.2;  // of a job that is not counted in FLOPs
constexpr double kFarthest = 6;        // doublings of size, beyond which another model's rate says nothing

}  // namespace

Json to_json(const Calibration& calibration) {
  Json devices = Json::object();
  for (const auto& [kind, device] : calibration) {
    Json models = Json::object();
    for (const auto& [key, model] : device.models) {
      Json classes = Json::object();
      for (const auto& [name, rate] : model.classes)
        classes[name] = {{"fixed_seconds", rate.fixed}, {"flops", rate.flops}, {"spread", rate.spread}};
      models[key] = {{"macs", model.macs}, {"classes", classes}};
    }
    devices[kind] = {{"measured_at", device.measured_at},
                     {"workers", device.workers},
                     {"device_memory", device.device_memory},
                     {"models", models}};
    if (!device.bench.empty()) devices[kind]["bench"] = device.bench;
  }
  return {{"schema", 1}, {"devices", devices}};
}

Calibration calibration_from_json(const Json& json) {
  try {
    if (json.at("schema") != 1)
      throw Error("calibration of another version of guda. Cure: guda doctor --calibrate measures again.");
    Calibration calibration;
    for (const auto& [kind, d] : json.at("devices").items()) {
      DeviceCalibration& device = calibration[kind];
      d.at("measured_at").get_to(device.measured_at);
      d.at("workers").get_to(device.workers);
      d.at("device_memory").get_to(device.device_memory);
      device.bench = d.value("bench", Json::object());
      for (const auto& [key, m] : d.at("models").items()) {
        ModelCalibration& model = device.models[key];
        m.at("macs").get_to(model.macs);
        for (const auto& [name, r] : m.at("classes").items()) {
          const Rate rate{r.at("fixed_seconds").get<double>(), r.at("flops").get<double>(),
                          r.at("spread").get<double>()};
          if (!(rate.fixed >= 0) || !(rate.flops > 0) || !(rate.spread >= 0))
            throw Error("a measured rate of '" + name + "' is not positive");
          model.classes[name] = rate;
        }
      }
    }
    return calibration;
  } catch (const Json::exception& e) {
    throw Error(std::string("this is no calibration file: ") + e.what() +
                ". Cure: delete it; guda doctor --calibrate writes a new one.");
  }
}

std::string model_key(const Json& model) { return digest_of(model.dump()).hex; }

double assumed_flops(const std::string& device_kind) {
  // A GPU at about a fifth of what the smaller data-centre cards reach in float32 through tensor cores: small batches
  // keep it there.
  return device_kind.starts_with("cuda") ? 10e12 : kAssumedFlops;
}

CostPredictor::CostPredictor(const DeviceCalibration* device, const Json& model, const std::string& device_kind)
    : assumed_rate_(assumed_flops(device_kind)) {
  const double macs = unet2d_macs(model);
  double nearest = std::numeric_limits<double>::infinity();
  if (device != nullptr) {
    for (const auto& [key, candidate] : device->models) {
      const double distance = key == model_key(model) ? -1 : std::abs(std::log2(macs / candidate.macs));
      if (distance < std::min(nearest, kFarthest) && !candidate.classes.empty()) {
        nearest = distance;
        model_ = &candidate;
      }
    }
  }
  const std::string size = fmt::format("{:.4g} MMAC per forward", macs / 1e6);
  if (model_ == nullptr) {
    basis_ = fmt::format(
        "assumed: {:.0f} GFLOP/s per worker, {}; the range is a factor of two. Cure: guda doctor --calibrate "
        "--experiment FILE measures {}",
        assumed_rate_ / 1e9, size, device_kind);
    return;
  }
  distance_ = std::max(0.0, nearest);
  basis_ = fmt::format("measured on {} ({}), {}", device_kind, device->measured_at, size);
  if (nearest >= 0) {
    basis_ +=
        fmt::format("; of another model ({:.4g} MMAC): guda doctor --calibrate --experiment FILE measures this one",
                    model_->macs / 1e6);
  }
}

Cost CostPredictor::of(const JobSpec& job) const {
  const double flops = job_flops(job);
  if (flops == 0) {  // then the job says what it takes
    const double seconds = std::max(kLeastSeconds, job.cost);
    return {seconds / 2, seconds, seconds * 2};
  }
  const Rate* rate = nullptr;
  double wider = 1 + distance_;
  if (model_ != nullptr) {
    auto at = model_->classes.find(cost_class(job.work));
    if (at == model_->classes.end()) {
      // An operator that was not measured costs about what another one does, per FLOP.
      at = std::find_if(model_->classes.begin(), model_->classes.end(),
                        [&](const auto& c) { return c.first.starts_with(kind_of(job.work)); });
      if (at == model_->classes.end()) at = model_->classes.find("train");
      if (at == model_->classes.end()) at = model_->classes.begin();
      wider *= 2;
    }
    rate = &at->second;
  }
  if (rate == nullptr) {
    const double seconds = flops / assumed_rate_;
    return {seconds / 2, seconds, seconds * 2};
  }
  const double seconds = rate->fixed + flops / rate->flops;
  const double spread = std::min(1.0, std::max(kLeastSpread, rate->spread) * wider);
  return {seconds / (1 + spread), seconds, seconds * (1 + spread)};
}

}  // namespace guda::jobs
