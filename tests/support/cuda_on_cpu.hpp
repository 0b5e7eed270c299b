#pragma once
// Runs our CUDA kernels on a CPU, so that their indices, barriers and sums are tested where there is no GPU: include
// this before worker/cuda/*.cuh. A block's threads are fibers that change places at __syncthreads(); blocks run one
// after the other and leave the garbage of one in the __shared__ arrays of the next, as on a device. It shows nothing
// about races between barriers, speed or the device's compiler: tests/gpu does.
#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#if defined(__CUDACC__)
#error "for a CPU's compiler"
#endif

// Not inline: in a build with CUDA nvcc has made a function of the same name, which wants a GPU.
#define __global__ [[maybe_unused]] static
#define __device__
#define __shared__ static

struct CudaIndex {
  unsigned x = 1, y = 1, z = 1;
};
inline CudaIndex threadIdx, blockIdx, blockDim, gridDim;

namespace guda::cuda_on_cpu {

class Block {
 public:
  explicit Block(unsigned threads) : fibers_(threads), running_(threads, 0) {
    for (auto& fiber : fibers_) fiber.stack = std::make_unique<char[]>(kStack);
  }

  void run(const std::function<void()>& kernel) {
    kernel_ = &kernel;
    current_block() = this;
    for (std::size_t t = 0; t < fibers_.size(); ++t) {
      ucontext_t& context = fibers_[t].context;
      ::getcontext(&context);
      context.uc_stack.ss_sp = fibers_[t].stack.get();
      context.uc_stack.ss_size = kStack;
      context.uc_link = &scheduler_;
      ::makecontext(&context, &Block::enter, 0);
      running_[t] = 1;
    }
    for (bool any = true; any;) {
      any = false;
      std::size_t waiting = 0, left = 0;
      for (std::size_t t = 0; t < fibers_.size(); ++t) {
        if (running_[t] == 0) continue;
        at_ = t;
        threadIdx = {static_cast<unsigned>(t), 0, 0};
        ::swapcontext(&scheduler_, &fibers_[t].context);
        running_[t] != 0 ? ++waiting : ++left;
        any = any || running_[t] != 0;
      }
      if (waiting > 0 && left > 0) throw std::logic_error("some threads of the block left, others wait at a barrier");
    }
  }

  static void barrier() {
    Block& block = *current_block();
    ::swapcontext(&block.fibers_[block.at_].context, &block.scheduler_);
  }

 private:
  struct Fiber {
    std::unique_ptr<char[]> stack;
    ucontext_t context{};
  };
  static constexpr std::size_t kStack = 64 << 10;

  static Block*& current_block() {
    static Block* block = nullptr;
    return block;
  }
  static void enter() {
    Block& block = *current_block();
    (*block.kernel_)();
    block.running_[block.at_] = 0;
  }

  std::vector<Fiber> fibers_;
  std::vector<char> running_;
  const std::function<void()>* kernel_ = nullptr;
  std::size_t at_ = 0;
  ucontext_t scheduler_{};
};

/// kernel<<<grid, threads>>>: `call` calls the kernel. One host thread only. Throws std::logic_error when only some
/// threads of a block reach a barrier.
inline void launch(CudaIndex grid, unsigned threads, const std::function<void()>& call) {
  Block block(threads);
  gridDim = grid;
  blockDim = {threads, 1, 1};
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      blockIdx = {x, y, 0};
      block.run(call);
    }
  }
}

}  // namespace guda::cuda_on_cpu

inline void __syncthreads() { guda::cuda_on_cpu::Block::barrier(); }
