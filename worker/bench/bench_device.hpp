#pragma once
// guda-worker bench-device: what this device gives, beside what it could give. `guda bench-device` runs it and prints.
#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "worker/bench/time_budget.hpp"

namespace guda::worker {

inline constexpr int kMostRepetitions = 20;

struct BenchRequest {
  torch::Device device = torch::kCPU;
  double seconds = 300;                          ///< for everything; what does not fit is left out, and says so
  std::filesystem::path folder;                  ///< for files that are written and read; the system's temporary folder
  std::function<void(const std::string&)> note;  ///< a line for people after each measurement
};

/// One measurement. `head` is how its row begins: name, and what tells it from others of that name.
struct BenchWork {
  Json head;
  double expected = 0;      ///< s that making it ready and two repetitions will take
  double memory = 0;        ///< bytes of the device that it needs
  double flops = 0;         ///< of one repetition
  double bytes = 0;         ///< that it reads and writes, where memory limits it
  double items = 0;         ///< images, forwards... of one repetition
  const char* unit = "/s";  ///< of items per second
  /// Makes it ready and returns one repetition, after which the device has finished.
  std::function<std::function<void()>()> make;
  /// Or: seconds of repetitions of a loop that lasts about so long.
  std::function<std::vector<double>(double allowance)> loop;
};

/// Keeps the time, the rows and the peaks: rows of work say how near they come.
class Bench {
 public:
  /// `plan`: weights of all measurements in order.
  Bench(const BenchRequest& request, std::vector<double> plan);
  /// Measures, or leaves out what does not fit, each with a row.
  void measure(const BenchWork& work);
  /// A row for what can't be measured here.
  void leave_out(Json head, const std::string& why);
  /// Seconds that the next measurement may take.
  [[nodiscard]] double time_of_next() const { return budget_.share_of_next(); }
  /// The same, which it takes: for a measurement that does not go through measure().
  [[nodiscard]] double allowance() { return budget_.next(); }
  void add(Json row);

  [[nodiscard]] const BenchRequest& request() const { return request_; }
  [[nodiscard]] torch::Device device() const { return request_.device; }
  /// FLOP/s of the largest matrix product or convolution of this type so far; what is assumed before.
  [[nodiscard]] double peak(const std::string& dtype) const;
  void found_peak(const std::string& dtype, double flops);
  [[nodiscard]] double& bandwidth() { return bandwidth_; }
  [[nodiscard]] Json result() const;

 private:
  void measure_within(const BenchWork& work, double allowance, Json row);

  const BenchRequest request_;
  const double began_;
  TimeBudget budget_;
  std::map<std::string, double> peaks_;
  double bandwidth_ = 0;  // bytes/s of a copy, read and write
  Json rows_ = Json::array();
};

/// float32 everywhere; bfloat16 too on accelerators.
[[nodiscard]] std::vector<torch::ScalarType> bench_types(torch::Device device);
/// float32, or tf32 where the device multiplies so, or bfloat16.
[[nodiscard]] std::string type_name(torch::ScalarType type);

// The measurements, in their order. Each is a function of the bench and says how much of the time it wants.
struct BenchPart {
  const char* name;
  std::vector<double> (*weights)(torch::Device device);
  void (*run)(Bench& bench);
};
[[nodiscard]] const std::vector<BenchPart>& bench_parts();

/// {"schema", "device", "threads", "budget_seconds", "seconds", "peaks": {dtype: FLOP/s}, "copy_bytes_per_second",
/// "rows": [...]}; a row holds name, and seconds, spread, times, flops, items_per_second, unit, share_of_peak or
/// share_of_copy; or why it was skipped. Layout: docs/formats.md.
[[nodiscard]] Json bench_device(const BenchRequest& request);

}  // namespace guda::worker
