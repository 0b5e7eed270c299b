#include <ATen/ATen.h>

#include "common/error.hpp"
#include "worker/device/gpu_ops.hpp"

namespace guda::worker::gpu {
namespace {

[[noreturn]] void no_gpu() { throw Bug("a tensor on a GPU in a build without CUDA"); }

}  // namespace

at::Tensor normal(std::uint64_t, std::uint64_t, std::uint32_t, std::uint32_t, at::IntArrayRef, const at::Device&) {
  no_gpu();
}
at::Tensor pinned_rows(std::int64_t) { no_gpu(); }
at::Tensor device_rows(std::int64_t, const at::Device&) { no_gpu(); }
std::span<cuda::NoisedRow> rows_in(at::Tensor&) { no_gpu(); }
void fill_rows(std::uint64_t, const at::Tensor&, std::int64_t, at::Tensor&) { no_gpu(); }
BatchInputs make_inputs(std::int64_t, at::IntArrayRef, const at::Device&) { no_gpu(); }
void noised_rows(std::uint64_t, const at::Tensor&, const at::Tensor&, BatchInputs&) { no_gpu(); }
void squared_errors(std::uint64_t, const at::Tensor&, const at::Tensor&, at::Tensor&) { no_gpu(); }
at::Tensor gather_images(const at::Tensor&, std::span<const std::uint32_t>, const std::vector<bool>&,
                         const std::vector<float>&) {
  no_gpu();
}
bool takes_group_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, std::int64_t) { return false; }
at::Tensor group_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, std::int64_t, double, bool, at::Tensor&,
                      at::Tensor&) {
  no_gpu();
}
NormGradients group_norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, std::int64_t, double, bool,
                                  const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  no_gpu();
}
FusedAdamW::FusedAdamW(std::vector<at::Tensor>, std::vector<at::Tensor>, std::vector<at::Tensor>,
                       std::vector<at::Tensor>) {
  no_gpu();
}
void FusedAdamW::step(const std::vector<at::Tensor>&, const std::vector<at::Tensor>&, const cuda::AdamWStep&, double) {
  no_gpu();
}

}  // namespace guda::worker::gpu
