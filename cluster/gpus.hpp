#pragma once
// The GPUs of this node as the driver names them. Work is pinned by UUID, never by an index that another mask shifts.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace guda::cluster {

struct Gpu {
  std::string uuid;  ///< "GPU-..." or "MIG-..."
  std::string pci;   ///< "00000000:3B:00.0"
  std::string model, driver;
  std::uint64_t memory = 0;  ///< bytes
};

/// Lines of `nvidia-smi --query-gpu=uuid,pci.bus_id,name,driver_version,memory.total --format=csv,noheader,nounits`.
/// Throws Error naming a line that is none.
[[nodiscard]] std::vector<Gpu> parse_nvidia_smi(std::string_view text);

/// A GPU that is cut into MIG slices is replaced by its slices, which CUDA runs work on; `list` is what `nvidia-smi -L`
/// prints: a line for each GPU, below it a line for each of its slices. The memory of a slice is that of its profile's
/// name ("1g.10gb").
[[nodiscard]] std::vector<Gpu> with_mig_slices(const std::vector<Gpu>& gpus, std::string_view list);

/// GPUs and MIG slices that this process may use, in the order of CUDA_VISIBLE_DEVICES where it is set (indices or
/// UUIDs); none where there is no nvidia-smi. A driver that fails throws Error with what it said.
[[nodiscard]] std::vector<Gpu> visible_gpus();

/// `all` as CUDA_VISIBLE_DEVICES = `mask` orders and hides them; MIG UUIDs that are not among them are taken as given.
[[nodiscard]] std::vector<Gpu> apply_mask(const std::vector<Gpu>& all, std::string_view mask);

}  // namespace guda::cluster
