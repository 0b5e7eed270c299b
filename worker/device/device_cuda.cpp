#include <ATen/Context.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstdlib>

#include "common/error.hpp"
#include "worker/device/attention_choice.hpp"
#include "worker/device/device.hpp"
#include "worker/device/precision.hpp"

namespace guda::worker {
namespace {

/// A deterministic process searches for no algorithms (the fastest one differs from run to run) and refuses those that
/// add up in any order.
void set_determinism(bool deterministic) {
  at::globalContext().setBenchmarkCuDNN(!deterministic);
  at::globalContext().setDeterministicCuDNN(deterministic);
  at::globalContext().setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  if (deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/1);
  choose_attention(!deterministic);
}

}  // namespace

torch::Device open_device(const jobs::Numerics& numerics) {
  if (numerics.device == "cpu") return torch::kCPU;
  if (gpu_count() == 0) {
    throw Error("device " + numerics.device + ": " + why_no_gpu() +
                ". Cure: resources.device: cpu, or another node; guda doctor shows what is visible");
  }
  set_determinism(numerics.deterministic);
  set_product_precision(numerics.dtype);
  static thread_local const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, 0);
  c10::cuda::setCurrentCUDAStream(stream);
  return {torch::kCUDA, 0};
}

int gpu_count() noexcept { return c10::cuda::device_count(); }

std::string why_no_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return "there is a GPU";
  (void)cudaGetLastError();
  return error == cudaSuccess ? "no GPU is visible" : std::string("no GPU can be used: ") + cudaGetErrorString(error);
}

}  // namespace guda::worker
