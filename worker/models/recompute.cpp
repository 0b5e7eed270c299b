#include "worker/models/recompute.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "worker/models/lora.hpp"

namespace guda::worker {
namespace {

thread_local bool recomputing = false;

using Forward = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// What a block is made of beside its inputs.
struct Block {
  Forward forward;
  std::vector<bool> defined;  ///< of its inputs
  bool draws = false;         ///< from a generator: dropout
  c10::Device device = torch::kCPU;
  at::Tensor generator;  ///< its state before the forward pass

  [[nodiscard]] at::Generator generator_of_device() const { return at::globalContext().defaultGenerator(device); }
  [[nodiscard]] at::Tensor operator()(const std::vector<at::Tensor>& given) const {
    std::vector<at::Tensor> inputs(defined.size());
    std::size_t next = 0;
    for (std::size_t i = 0; i < defined.size(); ++i) {
      if (defined[i]) inputs[i] = given[next++];
    }
    return forward(inputs);
  }
};

at::Tensor state_of(const at::Generator& generator) {
  at::Generator mine = generator;
  const std::lock_guard lock(mine.mutex());
  return mine.get_state();
}

void set_state(const at::Generator& generator, const at::Tensor& state) {
  at::Generator mine = generator;
  const std::lock_guard lock(mine.mutex());
  mine.set_state(state);
}

/// Inputs, then the block's parameters and pairs: autograd wants to know of all that have gradients.
struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList all, std::int64_t inputs,
                            const std::shared_ptr<Block>& block) {
    context->save_for_backward(all.vec());
    context->saved_data["inputs"] = inputs;
    // Function::apply has no other place for it.
    context->saved_data["block"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(block));
    if (block->draws) block->generator = state_of(block->generator_of_device());
    return (*block)(all.slice(0, static_cast<std::size_t>(inputs)).vec());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto all = context->get_saved_variables();
    const auto inputs = static_cast<std::size_t>(context->saved_data["inputs"].toInt());
    const std::shared_ptr<Block> block =
        c10::static_intrusive_pointer_cast<Holder>(context->saved_data["block"].toCapsule())->block;
    torch::autograd::variable_list results(all.size() + 2), given, wanted;
    std::vector<std::size_t> places;
    at::Tensor out;
    {
      const at::AutoGradMode with_gradients(true);
      for (std::size_t i = 0; i < all.size(); ++i) {
        at::Tensor tensor = all[i];
        const bool wants = context->needs_input_grad(i);
        if (i < inputs) {
          tensor = tensor.detach();
          tensor.requires_grad_(wants);
          given.push_back(tensor);
        }
        if (wants) wanted.push_back(tensor), places.push_back(i);
      }
      at::Tensor now;
      if (block->draws) {
        now = state_of(block->generator_of_device());
        set_state(block->generator_of_device(), block->generator);
      }
      out = (*block)(given);
      if (block->draws) set_state(block->generator_of_device(), now);
    }
    const auto found = torch::autograd::grad({out}, wanted, {grads[0]}, /*retain_graph=*/false, /*create_graph=*/false,
                                             /*allow_unused=*/true);
    for (std::size_t i = 0; i < places.size(); ++i) results[places[i]] = found[i];
    return results;
  }

  struct Holder : torch::CustomClassHolder {
    explicit Holder(std::shared_ptr<Block> held) : block(std::move(held)) {}
    std::shared_ptr<Block> block;
  };
};

bool draws(const torch::nn::Module& block) { return block.is_training(); }

}  // namespace

RecomputeScope::RecomputeScope(bool on) noexcept : outer_(std::exchange(recomputing, on)) {}
RecomputeScope::~RecomputeScope() { recomputing = outer_; }

at::Tensor recomputed(const torch::nn::Module& block, std::vector<at::Tensor> inputs, Forward forward) {
  if (!recomputing || !at::GradMode::is_enabled()) return forward(inputs);
  torch::autograd::variable_list all;
  auto what = std::make_shared<Block>();
  what->forward = std::move(forward);
  what->draws = draws(block);
  for (const at::Tensor& input : inputs) {
    what->defined.push_back(input.defined());
    if (input.defined()) all.push_back(input);
  }
  const auto count = static_cast<std::int64_t>(all.size());
  what->device = all.front().device();
  for (const at::Tensor& parameter : block.parameters()) all.push_back(parameter);
  for (const at::Tensor& tensor : attached_lora(block)) all.push_back(tensor);
  const bool wanted = std::any_of(all.begin(), all.end(), [](const at::Tensor& t) { return t.requires_grad(); });
  if (!wanted) return what->forward(inputs);
  return Recomputed::apply(at::TensorList(all), count, what);
}

}  // namespace guda::worker
