#include "common/nvml.hpp"

#include <dlfcn.h>

namespace guda {
namespace {

// nvml.h: nvmlReturn_t, nvmlMemoryErrorType_t, nvmlEccCounterType_t.
constexpr int kSuccess = 0, kUncorrected = 1, kSinceDriver = 0;
using Device = void*;

}  // namespace

struct Nvml::Library {
  void* handle = nullptr;
  bool started = false;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*by_uuid)(const char*, Device*) = nullptr;
  int (*parent)(Device, Device*) = nullptr;  // of a MIG slice
  int (*errors)(Device, int, int, unsigned long long*) = nullptr;

  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
  }
  ~Library() {
    if (started) shutdown();
    if (handle != nullptr) ::dlclose(handle);
  }
};

Nvml::Nvml(const std::string& library) {
  auto found = std::make_unique<Library>();
  found->handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (found->handle == nullptr) return;
  found->find(found->init, "nvmlInit_v2");
  found->find(found->shutdown, "nvmlShutdown");
  found->find(found->by_uuid, "nvmlDeviceGetHandleByUUID");
  found->find(found->parent, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle");
  found->find(found->errors, "nvmlDeviceGetTotalEccErrors");
  if (!found->init || !found->shutdown || !found->by_uuid || !found->errors || found->init() != kSuccess) return;
  found->started = true;
  library_ = std::move(found);
}

Nvml::~Nvml() = default;

std::optional<std::uint64_t> Nvml::uncorrected_errors(const std::string& uuid) const {
  Device device = nullptr;
  if (!library_ || library_->by_uuid(uuid.c_str(), &device) != kSuccess) return std::nullopt;
  if (uuid.starts_with("MIG-") && (!library_->parent || library_->parent(device, &device) != kSuccess))
    return std::nullopt;
  unsigned long long count = 0;
  if (library_->errors(device, kUncorrected, kSinceDriver, &count) != kSuccess) return std::nullopt;
  return count;
}

}  // namespace guda
