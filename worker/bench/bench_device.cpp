#include "worker/bench/bench_device.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

#include "common/clock.hpp"
#include "worker/device/device_health.hpp"
#include "worker/memory_check.hpp"

namespace guda::worker {
namespace {

constexpr double kAssumedCore = 30e9, kAssumedAccelerator = 20e12;  // FLOP/s, until something was measured

std::vector<double> all_weights(torch::Device device) {
  std::vector<double> weights;
  for (const BenchPart& part : bench_parts()) {
    for (const double weight : part.weights(device)) weights.push_back(weight);
  }
  return weights;
}

}  // namespace

std::vector<torch::ScalarType> bench_types(torch::Device device) {
  if (device.is_cpu()) return {torch::kFloat32};
  return {torch::kFloat32, torch::kBFloat16};
}

std::string type_name(torch::ScalarType type) {
  if (type == torch::kBFloat16) return "bfloat16";
  return at::globalContext().allowTF32CuBLAS() ? "tf32" : "float32";
}

Bench::Bench(const BenchRequest& request, std::vector<double> plan)
    : request_(request), began_(steady_seconds()), budget_(request.seconds, std::move(plan), steady_seconds) {}

double Bench::peak(const std::string& dtype) const {
  if (const auto known = peaks_.find(dtype); known != peaks_.end()) return known->second;
  return device().is_cpu() ? kAssumedCore * at::get_num_threads() : kAssumedAccelerator;
}

void Bench::found_peak(const std::string& dtype, double flops) {
  double& peak = peaks_[dtype];
  peak = std::max(peak, flops);
}

void Bench::add(Json row) {
  if (request_.note) {
    const std::string skipped = row.value("skipped", "");
    request_.note(fmt::format("{:<44} {}", row.at("name").get<std::string>(),
                              skipped.empty() ? fmt::format("{:.4g} s", row.at("seconds").get<double>()) : skipped));
  }
  rows_.push_back(std::move(row));
}

void Bench::leave_out(Json head, const std::string& why) {
  static_cast<void>(budget_.next());
  head["skipped"] = why;
  add(std::move(head));
}

void Bench::measure(const BenchWork& work) {
  const double allowance = budget_.next();
  Json row = work.head;
  if (work.expected > allowance) {
    row["skipped"] = fmt::format("would take about {:.2g} s, {:.2g} s of the time are its", work.expected, allowance);
  } else if (const double free = usable_memory(device()); free > 0 && work.memory > free) {
    row["skipped"] = fmt::format("needs {:.1f} GB of memory, {:.1f} GB are free", work.memory / 1e9, free / 1e9);
  } else {
    try {
      return measure_within(work, allowance, row);
    } catch (const c10::Error& e) {
      row["skipped"] = std::string("failed: ") + e.what_without_backtrace();
    } catch (const std::exception& e) {
      row["skipped"] = std::string("failed: ") + e.what();
    }
  }
  add(std::move(row));
}

void Bench::measure_within(const BenchWork& work, double allowance, Json row) {
  const double begin = steady_seconds();
  const auto repetitions = [&] {
    if (work.loop) return summary_of(work.loop(allowance));
    const auto once = work.make();
    return repeat(std::max(0.0, allowance - (steady_seconds() - begin)), kMostRepetitions, once, steady_seconds);
  };
  const Repeated repeated = repetitions();
  row["seconds"] = repeated.median;
  row["spread"] = repeated.spread;
  row["times"] = repeated.times;
  if (work.items > 0) {
    row["per_second"] = work.items / repeated.median;
    row["unit"] = work.unit;
  }
  const std::string dtype = row.value("dtype", type_name(torch::kFloat32));
  if (work.flops > 0) {
    row["flops_per_second"] = work.flops / repeated.median;
    row["flops"] = work.flops;
    if (peaks_.contains(dtype)) row["share_of_peak"] = work.flops / repeated.median / peak(dtype);
  }
  if (work.bytes > 0) {
    row["bytes_per_second"] = work.bytes / repeated.median;
    if (bandwidth_ > 0) row["share_of_copy"] = work.bytes / repeated.median / bandwidth_;
  }
  add(std::move(row));
}

Json Bench::result() const {
  return {{"schema", 1},
          {"device", device().is_cpu() ? "cpu" : "cuda"},
          {"threads", at::get_num_threads()},
          {"budget_seconds", request_.seconds},
          {"seconds", steady_seconds() - began_},
          {"device_memory", device_memory(device())},
          {"peaks", peaks_},
          {"copy_bytes_per_second", bandwidth_},
          {"rows", rows_}};
}

Json bench_device(const BenchRequest& request) {
  check_device(request.device);
  Bench bench(request, all_weights(request.device));
  for (const BenchPart& part : bench_parts()) part.run(bench);
  return bench.result();
}

}  // namespace guda::worker
