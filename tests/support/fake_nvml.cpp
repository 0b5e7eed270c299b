// A libnvidia-ml.so.1 with two GPUs: GPU-sound, and GPU-sick with 3 uncorrected errors, of which MIG-slice is a part.
#include <cstring>

namespace {
int sound = 0, sick = 0, slice = 0;
}

extern "C" {
int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  if (std::strcmp(uuid, "GPU-sound") == 0) *device = &sound;
  else if (std::strcmp(uuid, "GPU-sick") == 0) *device = &sick;
  else if (std::strcmp(uuid, "MIG-slice") == 0) *device = &slice;
  else return 6;  // NVML_ERROR_NOT_FOUND
  return 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void* mig, void** device) {
  if (mig != &slice) return 2;
  *device = &sick;
  return 0;
}
int nvmlDeviceGetTotalEccErrors(void* device, int type, int counter, unsigned long long* count) {
  if (device == &slice || type != 1 || counter != 0) return 2;  // NVML_ERROR_INVALID_ARGUMENT
  *count = device == &sick ? 3 : 0;
  return 0;
}
}
