#pragma once
// Models that a worker keeps loaded between jobs, and the one that it loads ahead while it computes.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <optional>

#include "common/digest.hpp"
#include "worker/models/denoiser.hpp"

namespace guda::worker {

/// Bytes of a model's parameters and buffers.
[[nodiscard]] std::uint64_t bytes_of(const Denoiser& model);

/// All members from one thread; loading ahead has a thread of its own, and at most one model is loaded ahead at a time.
/// Values of weights are read, never computed: what is scored does not depend on where a model came from.
class ModelStore {
 public:
  /// A model in evaluation mode on the CPU. Called in another thread when it is for prefetch().
  using Load = std::function<Denoiser()>;

  /// `budget`: bytes of models that are kept; the one in use is kept in any case.
  explicit ModelStore(std::uint64_t budget) : budget_(budget) {}
  ~ModelStore();
  ModelStore(const ModelStore&) = delete;
  ModelStore& operator=(const ModelStore&) = delete;

  /// The model of these weights on `device`: at hand, loaded ahead, or from `load`, whose exceptions it passes on.
  /// Others make room, those first that were used longest ago. Callers must not change it.
  [[nodiscard]] Denoiser get(const Digest& weights, torch::Device device, const Load& load);
  /// Begins to load what will be wanted next, into pinned memory when `device` is no CPU; nothing when it is at hand.
  /// A failure shows when the model is wanted, which is then loaded anew.
  void prefetch(const Digest& weights, torch::Device device, Load load);
  /// Waits until no thread of ours builds a model. Building one draws from torch's generator, so this comes before any
  /// work that draws from it, too.
  void settle();
  /// Forgets all models.
  void clear();

  struct Counts {
    std::uint64_t loaded = 0, prefetched = 0, resident = 0;  ///< answers of get()
    double seconds = 0;                                      ///< in get()
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] bool holds(const Digest& weights, torch::Device device) const;
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Digest weights;
    torch::Device device;
    Denoiser model;
    std::uint64_t bytes = 0;
  };
  struct Ahead {
    Digest weights;
    std::future<Denoiser> model;
  };
  const std::uint64_t budget_;
  std::uint64_t bytes_ = 0;
  std::list<Entry> entries_;  // most recently used first
  std::optional<Ahead> ahead_;
  Counts counts_;
};

}  // namespace guda::worker
