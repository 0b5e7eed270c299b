#pragma once
// No two runs of ours compute on one GPU by accident: an agent holds a lock for the GPU that its worker is pinned to.
#include <cstdint>
#include <filesystem>
#include <string>

#include "common/files.hpp"

namespace guda::cluster {

/// Holds a GPU, or a place on a shared one, until it goes; a killed holder holds nothing.
struct GpuBooking {
  Fd device, place;
  std::string objection;  ///< why the GPU can't be had, with the cure; empty: it is ours
};

/// Books the GPU or MIG slice `uuid`. With `per_device` = 1 for us alone; else the `place` (0 ...) among workers that
/// share it, which no other worker may have, and which nobody gets while another one holds the whole GPU. `name` is
/// what others are told of the holder. A holder has `patience` seconds to go: that of an earlier life may still be
/// dying. Locks are files in `folder`, which is a node's own; where it can't be written to, the GPU is ours unasked.
[[nodiscard]] GpuBooking book_gpu(const std::string& uuid, std::uint32_t place, std::uint32_t per_device,
                                  const std::string& name, const std::filesystem::path& folder = "/dev/shm",
                                  double patience = 5);

}  // namespace guda::cluster
