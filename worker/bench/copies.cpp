#include <fmt/format.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "common/checksums.hpp"
#include "common/files.hpp"
#include "common/node_cache.hpp"
#include "worker/bench/bench_parts.hpp"
#include "worker/device/device_health.hpp"

namespace guda::worker {
namespace {

namespace fs = std::filesystem;

struct BenchFolder {
  fs::path path;
  explicit BenchFolder(const fs::path& base)
      : path((base.empty() ? fs::temp_directory_path() : base) / fmt::format("guda-bench-{}", ::getpid())) {
    fs::create_directories(path);
  }
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  ~BenchFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

std::vector<double> weights_of_copies(torch::Device) { return {1, 1, 1, 0.1}; }

void bench_copies(Bench& bench) {
  const torch::Device device = bench.device();
  // Larger than any cache; smaller where the time is short.
  const std::int64_t bytes = bench.request().seconds < 30 ? 32 << 20 : device.is_cpu() ? 256 << 20 : 1 << 30;
  BenchWork copy{.head = {{"name", "copy"}, {"bytes", 2 * bytes}},
                 .expected = 4 * double(bytes) / 2e9,
                 .memory = 2.0 * double(bytes),
                 .bytes = 2.0 * double(bytes),
                 .make = [&]() -> std::function<void()> {
                   const auto options = torch::TensorOptions().dtype(torch::kUInt8).device(device);
                   const torch::Tensor from = torch::ones({bytes}, options), to = torch::ones({bytes}, options);
                   return [from, to, device] {
                     to.copy_(from);
                     synchronize(device);
                   };
                 }};
  bench.measure(copy);
  bench.bandwidth() = bench.result().at("rows").back().value("bytes_per_second", 0.0);

  if (device.is_cpu()) {
    bench.leave_out(Json::object({{"name", "host to device"}}), "the device is the host");
  } else {
    bench.measure({.head = {{"name", "host to device"}, {"bytes", bytes}},
                   .expected = 4 * double(bytes) / 5e9,
                   .memory = double(bytes),
                   .bytes = double(bytes),
                   .make = [&]() -> std::function<void()> {
                     const torch::Tensor from = torch::ones({bytes}, torch::kUInt8).pin_memory(),
                                         to = torch::empty({bytes},
                                                           torch::TensorOptions().dtype(torch::kUInt8).device(device));
                     return [from, to, device] {
                       to.copy_(from, /*non_blocking=*/true);
                       synchronize(device);
                     };
                   }});
  }

  // One artifact through the node cache: read (page cache), compared with its checksum, written.
  const auto folder = std::make_shared<BenchFolder>(bench.request().folder);
  const std::int64_t size = std::min<std::int64_t>(bytes, 196 << 20);
  bench.measure({.head = {{"name", "node cache"}, {"bytes", size}},
                 .expected = 4 * double(size) / 0.5e9,
                 .bytes = double(size),
                 .make = [folder, size]() -> std::function<void()> {
                   const fs::path source = folder->path / "source";
                   fs::create_directories(source);
                   replace_file(source / "weights", std::string(static_cast<std::size_t>(size), 'w'), false);
                   write_checksums(source);
                   return [folder, source, size, count = std::make_shared<int>(0)] {
                     NodeCachePlace place{folder->path / "node", 2 * static_cast<std::uint64_t>(size), false, ""};
                     NodeCache cache(place, {});
                     (void)cache.artifact(source, digest_of(std::to_string(++*count)));
                     if (cache.use().read == 0) throw IoError("no room in " + folder->path.string());
                   };
                 }});
  bench.leave_out(Json::object({{"name", "broadcast"}}), "wants two devices or more");
}

}  // namespace guda::worker
