#include "worker/model_store.hpp"

#include <algorithm>
#include <utility>

#include "common/clock.hpp"
#include "worker/device/device.hpp"

namespace guda::worker {
namespace {

void pin(const Denoiser& model) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : model->parameters()) p.set_data(p.pin_memory());
  for (torch::Tensor& b : model->buffers()) b.set_data(b.pin_memory());
}

}  // namespace

std::uint64_t bytes_of(const Denoiser& model) {
  std::uint64_t bytes = 0;
  for (const torch::Tensor& p : model->parameters()) bytes += p.nbytes();
  for (const torch::Tensor& b : model->buffers()) bytes += b.nbytes();
  return bytes;
}

ModelStore::~ModelStore() { settle(); }

bool ModelStore::holds(const Digest& weights, torch::Device device) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& e) { return e.weights == weights && e.device == device; });
}

Denoiser ModelStore::get(const Digest& weights, torch::Device device, const Load& load) {
  const double begin = steady_seconds();
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& e) { return e.weights == weights && e.device == device; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    ++counts_.resident;
    return entries_.front().model;
  }
  Denoiser model;
  if (ahead_ && ahead_->weights == weights) {
    try {
      model = ahead_->model.get();
      ++counts_.prefetched;
    } catch (const std::exception&) {  // whoever wants it hears of it below, unless it has passed
      model = {};
    }
    ahead_.reset();
  }
  if (model.is_empty()) {
    model = load();
    ++counts_.loaded;
  }
  const std::uint64_t bytes = bytes_of(model);
  while (!entries_.empty() && bytes_ + bytes > budget_) {  // before the device must hold both
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
  move_to(model.module(), device);
  model->eval();
  entries_.push_front({weights, device, model, bytes});
  bytes_ += bytes;
  counts_.seconds += steady_seconds() - begin;
  return model;
}

void ModelStore::prefetch(const Digest& weights, torch::Device device, Load load) {
  if (holds(weights, device) || (ahead_ && ahead_->weights == weights)) return;
  ahead_.reset();  // a guess that was wrong; waits for its thread
  ahead_ = Ahead{weights, std::async(std::launch::async, [load = std::move(load), device] {
                   Denoiser model = load();
                   if (!device.is_cpu()) pin(model);
                   return model;
                 })};
}

void ModelStore::settle() {
  if (ahead_) ahead_->model.wait();
}

void ModelStore::clear() {
  ahead_.reset();
  entries_.clear();
  bytes_ = 0;
}

}  // namespace guda::worker
