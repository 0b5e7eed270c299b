#pragma once
// NVIDIA's management library, found at run time: a program built with CUDA also runs where there is no driver.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace guda {

/// One thread at a time. Knows nothing where the library is missing or does not start.
class Nvml {
 public:
  explicit Nvml(const std::string& library = "libnvidia-ml.so.1");
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  [[nodiscard]] bool there() const noexcept { return library_ != nullptr; }
  /// Memory errors that ECC could not correct since the driver was loaded, of a GPU or of the one that a MIG slice is
  /// part of, by its UUID; nothing where that is not known (no ECC, no such GPU).
  [[nodiscard]] std::optional<std::uint64_t> uncorrected_errors(const std::string& uuid) const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace guda
