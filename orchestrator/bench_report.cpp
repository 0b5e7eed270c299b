#include "orchestrator/bench_report.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "jobs/cost.hpp"
#include "jobs/reference_networks.hpp"

namespace guda::orchestrator {
namespace {

struct Target {
  const char *name, *device, *dtype, *text;
};
// One device of the H100 or H200 class, and two AVX2 cores.
constexpr std::array kTargets{Target{"cifar10 forward", "cuda", "bfloat16", ">= 15000/s"},
                              Target{"cifar10 forward", "cuda", "tf32", ">= 8000/s"},
                              Target{"cifar10 training", "cuda", "bfloat16", ">= 5000/s"},
                              Target{"cifar10 retrack step", "cuda", "tf32", "128 + 128 in <= 0.055 s"},
                              Target{"cifar10 clip + AdamW + EMA", "cuda", "tf32", "<= 0.0012 s"},
                              Target{"sd15 forward", "cuda", "bfloat16", ">= 420/s"},
                              Target{"sd15 training", "cuda", "bfloat16", ">= 115/s"},
                              Target{"cifar10 forward", "cpu", "float32", ">= 3.3/s on 2 cores"}};

std::string operator_class_of(std::string_view work) {
  if (work == "training") return "train";
  return work == "retrack step" ? "unlearn retrack_exact" : "";
}

std::string share_text(const Json& row, const char* key, const char* of) {
  return row.contains(key) ? fmt::format("{:5.1f} % of {}", 100 * row.at(key).get<double>(), of) : "";
}

}  // namespace

jobs::DeviceCalibration calibration_from_bench(const Json& bench) {
  jobs::DeviceCalibration device;
  try {
    if (bench.at("schema") != 1) throw Error("a bench of another version of guda");
    device.workers = 1;
    device.device_memory = bench.at("device_memory").get<std::uint64_t>();
    device.bench = bench;
    for (const jobs::ReferenceNetwork& network : jobs::kReferenceNetworks) {
      const Json config = network.config();
      jobs::ModelCalibration model;
      model.macs = jobs::unet2d_macs(config);
      const auto take = [&](const std::string& name, const jobs::Rate& rate) {
        if (auto& best = model.classes[name]; rate.flops > best.flops) best = rate;
      };
      for (const Json& row : bench.at("rows")) {
        if (row.value("network", "") != network.name || row.contains("skipped") || row.value("dtype", "") == "bfloat16")
          continue;
        const std::string work = row.at("name").get<std::string>().substr(std::string_view(network.name).size() + 1);
        if (!row.contains("flops_per_second")) continue;
        const jobs::Rate rate{0, row.at("flops_per_second").get<double>(), row.at("spread").get<double>()};
        if (work == "forward") take("score", rate), take("sample", rate);
        else if (const std::string name = operator_class_of(work); !name.empty()) take(name, rate);
      }
      if (!model.classes.empty()) device.models[jobs::model_key(config)] = model;
    }
  } catch (const Json::exception& e) {
    throw Error(std::string("guda-worker measured, but what it wrote can't be read: ") + e.what());
  }
  return device;
}

std::string bench_target(const Json& row, const std::string& device) {
  for (const Target& target : kTargets) {
    if (row.at("name") == target.name && device == target.device && row.value("dtype", "float32") == target.dtype)
      return target.text;
  }
  return "";
}

std::string bench_table(const Json& bench) {
  const std::string device = bench.at("device");
  std::string text = fmt::format("{:<28} {:<9} {:>6} {:>11} {:>18}  {:<18} {}\n", "measured", "type", "batch",
                                 "seconds", "rate", "roofline", "target");
  for (const Json& row : bench.at("rows")) {
    std::string name = row.at("name");
    if (name.starts_with("attention")) name += fmt::format(", {}", row.at("network").get<std::string>());
    const std::string batch = row.contains("batch") ? std::to_string(row.at("batch").get<std::int64_t>()) : "";
    const std::string head = fmt::format("{:<28} {:<9} {:>6}", name, row.value("dtype", ""), batch);
    const std::string target = bench_target(row, device);
    if (row.contains("skipped")) {
      text += fmt::format("{}  not measured: {}{}\n", head, row.at("skipped").get<std::string>(),
                          target.empty() ? "" : "; target " + target);
      continue;
    }
    std::string rate;
    if (row.contains("per_second"))
      rate = fmt::format("{:.4g} {}", row.at("per_second").get<double>(), row.at("unit").get<std::string>());
    else if (row.contains("flops_per_second"))
      rate = fmt::format("{:.4g} GFLOP/s", row.at("flops_per_second").get<double>() / 1e9);
    else if (row.contains("bytes_per_second"))
      rate = fmt::format("{:.4g} GB/s", row.at("bytes_per_second").get<double>() / 1e9);
    text +=
        fmt::format("{} {:>11.4g} {:>18}  {:<18} {}\n", head, row.at("seconds").get<double>(), rate,
                    share_text(row, "share_of_peak", "the peak") + share_text(row, "share_of_copy", "a copy"), target);
  }
  return text;
}

}  // namespace guda::orchestrator
