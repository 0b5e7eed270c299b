#include "worker/memory_check.hpp"

#include <fmt/format.h>
#include <malloc.h>

#include <string>
#include <variant>

#include "common/memory.hpp"
#include "jobs/memory.hpp"
#include "jobs/pipeline_folder.hpp"
#include "worker/device/device_health.hpp"

namespace guda::worker {
namespace {

std::string gib(double bytes) { return fmt::format("{:.2f} GiB", bytes / (1ULL << 30)); }

const char* cure_for(const jobs::Work& work) {
  return std::holds_alternative<jobs::ScoreSpec>(work)
             ? "a smaller scoring.batch, or fewer workers on this node"
             : "resources.gradient_checkpointing: true (the same numbers), a smaller resources.micro_batch, "
               "parameters: {kind: lora}, or fewer workers on this node";
}

}  // namespace

double usable_memory(torch::Device device) {
  if (!device.is_cpu()) return static_cast<double>(free_device_memory(device));
  const double free = free_memory();
  return free > 0 ? free + static_cast<double>(::mallinfo2().fordblks) : 0;
}

void check_memory(const jobs::JobSpec& job, const jobs::Experiment& experiment, const std::function<double()>& usable,
                  const std::function<void()>& give_up) {
  const bool checked = std::holds_alternative<jobs::TrainSpec>(job.work) ||
                       std::holds_alternative<jobs::UnlearnSpec>(job.work) ||
                       std::holds_alternative<jobs::ScoreSpec>(job.work);
  if (!checked || experiment.model.empty()) return;
  const double need = jobs::job_memory(job, experiment, jobs::frozen_parts(experiment));
  const auto fits = [&](double room) { return room == 0 || need <= room; };
  if (fits(usable())) return;
  give_up();
  const double room = usable();
  if (fits(room)) return;
  throw NotEnoughMemory(
      fmt::format("{} needs about {} of memory beside the library's own, and {} can be had here. Cure: {}", job.label,
                  gib(need), gib(room), cure_for(job.work)));
}

}  // namespace guda::worker
