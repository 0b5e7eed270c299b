#include "worker/job_meter.hpp"

#include "common/clock.hpp"
#include "common/memory.hpp"
#include "worker/device/device_health.hpp"

namespace guda::worker {

JobMeter::JobMeter(torch::Device device, const ModelStore* models, const NodeCache* cache)
    : device_(device),
      models_(models),
      cache_(cache),
      begin_(steady_seconds()),
      processor_(process_cpu_seconds()),
      loads_(models != nullptr ? models->counts() : ModelStore::Counts()),
      read_(cache != nullptr ? cache->use() : NodeCacheUse()) {
  reset_peak_memory();
  reset_device_peak(device_);
}

void JobMeter::add_to(Json& metrics, double earlier) const {
  metrics["seconds"] = earlier + steady_seconds() - begin_;
  // What an earlier attempt left in a checkpoint counts as it was: its processor time is not known any more.
  metrics["processor_seconds"] = earlier + process_cpu_seconds() - processor_;
  metrics["peak_memory_bytes"] = peak_memory();
  if (const std::uint64_t bytes = device_peak(device_); bytes > 0) metrics["peak_device_bytes"] = bytes;
  if (models_ != nullptr) {
    const ModelStore::Counts& now = models_->counts();
    if (now.loaded > loads_.loaded) metrics["weights_loaded"] = now.loaded - loads_.loaded;
    if (now.prefetched > loads_.prefetched) metrics["weights_prefetched"] = now.prefetched - loads_.prefetched;
    if (now.resident > loads_.resident) metrics["weights_resident"] = now.resident - loads_.resident;
    if (now.seconds > loads_.seconds) metrics["weights_seconds"] = now.seconds - loads_.seconds;
  }
  if (cache_ != nullptr && cache_->on()) {
    const NodeCacheUse now = cache_->use();
    metrics["node_cache"] = {{"read_bytes", now.read - read_.read},
                             {"read_seconds", now.read_seconds - read_.read_seconds},
                             {"found_bytes", now.found - read_.found}};
  }
}

}  // namespace guda::worker
