#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "worker/collective/gpu_gang.hpp"

namespace guda::worker {
namespace {

/// Both values mean that all is well so far.
void check(ncclResult_t result, const char* what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw std::runtime_error(std::string("NCCL error: ") + ncclGetErrorString(result) + " (" + what + ")");
}

class NcclGang final : public Gang {
 public:
  NcclGang(std::unique_ptr<Gang> meeting, GangPatience patience)
      : meeting_(std::move(meeting)), patience_(std::move(patience)) {
    // A fixed way of adding up: bits must not depend on what NCCL measures when it starts.
    if (at::globalContext().deterministicAlgorithms()) {
      ::setenv("NCCL_ALGO", "Ring", 1);
      ::setenv("NCCL_PROTO", "Simple", 1);
    }
    ncclUniqueId id{};
    if (rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    meeting_->broadcast(std::as_writable_bytes(std::span(&id, 1)));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    try {
      check(ncclCommInitRankConfig(&communicator_, static_cast<int>(size()), id, static_cast<int>(rank()), &config),
            "ncclCommInitRankConfig");
      wait([&] { return !in_progress("the first meeting"); });
    } catch (...) {
      abort();
      throw;
    }
  }

  /// Whoever leaves early takes the communicator with it; otherwise nobody frees what another one still reads.
  ~NcclGang() override {
    try {
      if (std::uncaught_exceptions() == 0 && communicator_ != nullptr) meeting_->barrier();
    } catch (...) {  // they are gone: so is the communicator
    }
    abort();
  }

  [[nodiscard]] std::uint32_t rank() const override { return meeting_->rank(); }
  [[nodiscard]] std::uint32_t size() const override { return meeting_->size(); }
  void all_reduce(std::span<float> values) override { meeting_->all_reduce(values); }
  void broadcast(std::span<std::byte> bytes) override { meeting_->broadcast(bytes); }
  void barrier() override { meeting_->barrier(); }

  void all_reduce(at::Tensor& values) override {
    if (!values.is_cuda()) return Gang::all_reduce(values);
    if (values.scalar_type() != at::kFloat || !values.is_contiguous())
      throw Bug("a gang adds up dense float32 tensors only");
    if (communicator_ == nullptr) throw Bug("a gang goes on after it was aborted");
    try {
      float* const numbers = values.mutable_data_ptr<float>();
      check(ncclAllReduce(numbers, numbers, static_cast<std::size_t>(values.numel()), ncclFloat, ncclSum, communicator_,
                          c10::cuda::getCurrentCUDAStream().stream()),
            "ncclAllReduce");
      at::cuda::CUDAEvent done;
      wait([&] { return !in_progress("ncclAllReduce"); });  // queued, after which the stream can be asked
      done.record(c10::cuda::getCurrentCUDAStream());
      wait([&] { return !in_progress("ncclAllReduce") && done.query(); });
    } catch (...) {
      abort();
      throw;
    }
  }

 private:
  [[nodiscard]] bool in_progress(const char* what) const {
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(communicator_, &state), "ncclCommGetAsyncError");
    check(state, what);
    return state == ncclInProgress;
  }

  /// A peer's death may never be reported by NCCL: its agent's word comes through while_waiting, the clock does the
  /// rest.
  template <class Done>
  void wait(const Done& done) const {
    const double since = steady_seconds();
    double asked = since;
    while (!done()) {
      const double now = steady_seconds();
      if (now - since > patience_.seconds)
        throw IoError("the GPUs of a gang of " + std::to_string(size()) + " have not answered each other for " +
                      std::to_string(static_cast<int>(patience_.seconds)) + " s");
      if (now - asked < 5e-3) {
        std::this_thread::yield();
        continue;
      }
      asked = now;
      patience_.while_waiting();
    }
  }

  void abort() noexcept {
    if (communicator_ != nullptr) ncclCommAbort(communicator_);
    communicator_ = nullptr;
  }

  std::unique_ptr<Gang> meeting_;
  GangPatience patience_;
  ncclComm_t communicator_ = nullptr;
};

/// NCCL refuses two members on one device.
bool have_a_device_each(Gang& gang) {
  std::vector<float> marks(gang.size(), 0.0F);
  const auto& uuid = at::cuda::getCurrentDeviceProperties()->uuid;
  std::uint32_t mine = 0;
  for (const char byte : uuid.bytes) mine = mine * 31 + static_cast<unsigned char>(byte);
  marks[gang.rank()] = static_cast<float>(mine & 0xFFFFFFU);  // exact in a float
  gang.all_reduce(std::span(marks));
  std::sort(marks.begin(), marks.end());
  return std::adjacent_find(marks.begin(), marks.end()) == marks.end();
}

}  // namespace

std::unique_ptr<Gang> over_gpus(std::unique_ptr<Gang> gang, torch::Device device, const GangPatience& patience) {
  if (!device.is_cuda() || !have_a_device_each(*gang)) return gang;
  return std::make_unique<NcclGang>(std::move(gang), patience);
}

}  // namespace guda::worker
