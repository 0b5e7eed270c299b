#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "cluster/gpus.hpp"
#include "common/cpu.hpp"
#include "common/files.hpp"
#include "common/process.hpp"
#include "orchestrator/bench_report.hpp"
#include "orchestrator/calibration_file.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"

namespace guda::cli {
namespace fs = std::filesystem;
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

/// What guda-worker measured. Throws Error.
Json measured_by_worker(const jobs::Numerics& numerics, double seconds, const std::vector<cluster::Gpu>& gpus) {
  const fs::path output = fs::temp_directory_path() / fmt::format("guda-bench-{}.json", ::getpid());
  const std::string threads = std::to_string(numerics.threads);
  SpawnOptions worker;
  worker.arguments = {(executable_folder() / "guda-worker").string(),
                      "bench-device",
                      "--output",
                      output.string(),
                      "--device",
                      numerics.device,
                      "--threads",
                      threads,
                      "--seconds",
                      fmt::format("{}", seconds)};
  worker.environment = {{"OMP_NUM_THREADS", threads}, {"MKL_NUM_THREADS", threads}};
  if (!gpus.empty()) worker.environment.emplace_back("CUDA_VISIBLE_DEVICES", gpus.front().uuid);
  const pid_t pid = spawn(worker);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) throw Error("guda-worker " + describe_wait_status(status) + ": see the lines above");
  Json bench = Json::parse(read_file(output), nullptr, /*allow_exceptions=*/false);
  fs::remove(output);
  return bench;
}

}  // namespace

int bench_device_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("device", po::value<std::string>(), "cpu or cuda [cuda where there is a GPU]")(
      "threads", po::value<std::uint32_t>(), "of the processor [all that this process may use]")(
      "seconds", po::value<double>()->default_value(270), "in all; what does not fit is left out, and says so")(
      "json", po::value<std::string>(), "write what was measured to this file; - prints it instead of the table")(
      "no-store", "leave the calibration that guda plan uses as it is");
  const auto values = parse(
      {"guda bench-device [options]",
       "What this machine's device gives: forwards, training, ReTrack and optimizer steps of the paper's two networks, "
       "copies, attention; beside each the share of the measured peak and the target. guda plan uses it from then on "
       "(guda doctor --calibrate --experiment FILE measures your own model). Wants an otherwise idle device.",
       "  guda bench-device\n  guda bench-device --device cpu --seconds 60 --json here.json\n"},
      options, {}, arguments);
  if (!values) return kDone;
  const double seconds = (*values)["seconds"].as<double>();
  if (!(seconds >= 1 && seconds <= 3600)) throw UsageError("--seconds must be between 1 and 3600");
  std::vector<cluster::Gpu> gpus = cluster::visible_gpus();
  jobs::Numerics numerics;
  numerics.device =
      values->contains("device") ? (*values)["device"].as<std::string>() : (gpus.empty() ? "cpu" : "cuda");
  if (numerics.device != "cpu" && numerics.device != "cuda")
    throw UsageError("--device is cpu or cuda, not '" + numerics.device + "'");
  if (numerics.device == "cuda" && gpus.empty())
    throw Error("no GPU is visible here. Cure: --device cpu; guda doctor says more.");
  if (numerics.device == "cpu") gpus.clear();
  numerics.isa = cpu_isa();
  numerics.threads = values->contains("threads") ? (*values)["threads"].as<std::uint32_t>() : usable_cores();
  if (numerics.threads == 0 || numerics.threads > 1024) throw UsageError("--threads must be 1 .. 1024");
  const std::string kind = device_kind(numerics, gpus);
  std::cerr << fmt::format("measuring {} for about {:.0f} s\n", kind, seconds);
  Json bench = measured_by_worker(numerics, seconds, gpus);
  bench["kind"] = kind;
  bench["measured_at"] = time_of_measurement();
  jobs::DeviceCalibration measured = calibration_from_bench(bench);
  measured.measured_at = bench["measured_at"].get<std::string>();
  const std::string file = values->contains("json") ? (*values)["json"].as<std::string>() : "";
  if (file == "-") {
    std::cout << bench.dump(2) << "\n";
  } else {
    std::cout << kind << "\n" << bench_table(bench);
    if (!file.empty()) replace_file(file, bench.dump(1) + "\n", false);
  }
  if (!values->contains("no-store")) {
    store_calibration(calibration_path(), kind, measured);
    std::cerr << "guda plan uses it: " << calibration_path().string() << "\n";
  }
  return kDone;
}

}  // namespace guda::cli
