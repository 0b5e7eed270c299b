#pragma once
// A full disk on purpose (`guda run --chaos disk=LABEL`).

namespace guda {

/// While one lives, write_all() in its thread fails with ENOSPC before it has written anything.
class FullDisk {
 public:
  FullDisk() noexcept;
  ~FullDisk();
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  /// In the calling thread.
  [[nodiscard]] static bool here() noexcept;
};

}  // namespace guda
