#include "worker/time_checkpoint.hpp"

#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/training/job_checkpoints.hpp"
#include "worker/training/optimizer.hpp"

namespace guda::worker {

int time_checkpoint(const std::filesystem::path& config, const std::filesystem::path& folder, int repeat) {
  if (repeat < 1) throw Error("--repeat: must be at least 1");
  if (!std::filesystem::is_directory(folder)) throw Error(folder.string() + ": is no folder");
  const Json json = Json::parse(read_file(config), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw Error(config.string() + ": is no JSON object; give the config.json of a UNet2DModel");
  const auto now = [] { return steady_seconds(); };

  const UNet2D model = make_unet2d(json, 0);
  const AdamW optimizer(model->parameters(), {}, 0);
  const Ema ema(model->parameters(), 0.999);
  NamedTensors state;
  append_state(*model, state);
  optimizer.append_state(state);
  ema.append_state(state);
  std::int64_t parameters = 0;
  for (const torch::Tensor& p : model->parameters()) parameters += p.numel();

  const Digest job = digest_of("time-checkpoint");
  const std::filesystem::path file = folder / ("time-checkpoint." + std::to_string(::getpid()) + ".safetensors");
  std::vector<double> writes, reads;
  std::uintmax_t bytes = 0;
  for (int i = 0; i < repeat; ++i) {
    const double start = now();
    write_checkpoint(file, {job, 1, 2, 0, "time-checkpoint"}, state);
    const double written = now();
    (void)read_checkpoint(file, job, state);
    writes.push_back(written - start);
    reads.push_back(now() - written);
    bytes = std::filesystem::file_size(file);
    std::filesystem::remove(file);
  }
  std::vector<double> sorted = writes;
  std::sort(sorted.begin(), sorted.end());
  const CheckpointRule rule;
  const double interval = checkpoint_interval(rule, /*predicted=*/1e9, sorted[sorted.size() / 2]);
  std::printf("%s\n", Json{{"parameters", parameters},
                           {"bytes", bytes},
                           {"write_seconds", writes},
                           {"read_seconds", reads},
                           {"interval_of_a_long_job", interval}}
                          .dump(1)
                          .c_str());
  return 0;
}

}  // namespace guda::worker
