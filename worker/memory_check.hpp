#pragma once
// Whether a job fits, asked before it begins: the kernel would kill whom it likes, hours later.
#include <torch/torch.h>

#include <functional>
#include <string>

#include "common/error.hpp"
#include "jobs/plan.hpp"

namespace guda::worker {

/// A job needs more memory than there is. Like memory that was refused: others may have it now.
struct NotEnoughMemory : Error {
  using Error::Error;
  [[nodiscard]] ErrorClass error_class() const noexcept override { return ErrorClass::out_of_memory; }
};

/// Bytes that this process can still put tensors into on a device: on the CPU what the machine and the control group
/// have (common/memory.hpp) and what this process has freed and kept; else free_device_memory(). 0: not known.
[[nodiscard]] double usable_memory(torch::Device device);

/// Throws NotEnoughMemory, with need, room and cure, when jobs::job_memory of a Train, Unlearn or Score job is more
/// than `usable` says. Not where the experiment has no model to count. `give_up` frees what this process can do
/// without; it is called first, then `usable` is asked again.
void check_memory(const jobs::JobSpec& job, const jobs::Experiment& experiment, const std::function<double()>& usable,
                  const std::function<void()>& give_up);

}  // namespace guda::worker
