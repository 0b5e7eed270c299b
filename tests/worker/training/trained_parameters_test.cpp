#include "worker/training/trained_parameters.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <filesystem>
#include <set>

#include "common/error.hpp"
#include "tests/support/gang_of_threads.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

using Study = test::TinyStyles;

Denoiser base() { return make_denoiser(test::tiny_text_model(), 21); }

jobs::ParametersConfig kind(const std::string& name) {
  jobs::ParametersConfig config;
  config.kind = name;
  config.rank = 3;
  config.alpha = 6;
  return config;
}

jobs::TrainSpec tuning(const std::string& name) {
  jobs::TrainSpec spec = test::tiny_training(12);
  spec.model = test::tiny_text_model();
  spec.training.parameters = kind(name);
  return spec;
}

jobs::UnlearnSpec forgetting(const std::string& op, const std::string& name) {
  jobs::UnlearnSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.unlearn.op = op;
  spec.unlearn.steps = 6;
  spec.unlearn.retain_batch = spec.unlearn.forget_batch = 4;
  if (op == "guda_c") spec.unlearn.anchor.mode = "uniform";
  spec.unlearn.parameters = kind(name);
  return spec;
}

/// Names of parameters with other numbers.
std::set<std::string> changed(const Denoiser& before, const Denoiser& after) {
  std::set<std::string> names;
  const auto was = before->named_parameters();
  for (const auto& p : after->named_parameters()) {
    if (!torch::equal(was[p.key()], p.value())) names.insert(p.key());
  }
  return names;
}

bool is_projection(const std::string& name) {
  return name.find(".to_q.") != std::string::npos || name.find(".to_k.") != std::string::npos ||
         name.find(".to_v.") != std::string::npos || name.find(".to_out.") != std::string::npos;
}

/// All projections' weights, and with `biases` those of to_out.
std::set<std::string> projections(const Denoiser& model, bool biases) {
  std::set<std::string> names;
  for (const auto& p : model->named_parameters()) {
    if (is_projection(p.key()) && (biases || p.key().ends_with(".weight"))) names.insert(p.key());
  }
  return names;
}

}  // namespace

TEST_CASE("trained parameters: fine-tuning attention or a LoRA changes the attention's projections and nothing else") {
  at::set_num_threads(1);
  const Study study;
  for (const char* name : {"attention", "lora"}) {
    CAPTURE(name);
    const Trained trained =
        train(tuning(name), study.examples, study.removed, torch::kCPU, no_progress, nullptr, nullptr, base());
    CHECK(changed(base(), trained.model) == projections(base(), std::string(name) == "attention"));
    CHECK(trained.lora.has_value() == (std::string(name) == "lora"));
    for (const auto& p : trained.model->parameters()) CHECK(p.requires_grad());
  }
}

TEST_CASE("trained parameters: attention or a LoRA alone learns, with activations kept or computed again") {
  at::set_num_threads(1);
  const Study study;
  for (const char* name : {"attention", "lora"}) {
    CAPTURE(name);
    const auto last_loss = [&](double lr, bool recompute) {
      jobs::TrainSpec spec = tuning(name);
      spec.training.steps = 60;
      spec.training.optimizer.lr = lr;
      return train(spec, study.examples, {}, torch::kCPU, no_progress, nullptr, nullptr, base(),
                   {.recompute = recompute})
          .last_loss;
    };
    const double untrained = last_loss(0, false), trained = last_loss(1e-2, false);
    CHECK(trained < 0.98 * untrained);
    CHECK(last_loss(1e-2, true) == trained);
  }
}

TEST_CASE("trained parameters: base and LoRA together are the fine-tuned model, and alpha / rank counts") {
  at::set_num_threads(1);
  const Study study;
  jobs::TrainSpec spec = tuning("lora");
  const Trained trained = train(spec, study.examples, {}, torch::kCPU, no_progress, nullptr, nullptr, base());
  CHECK(trained.lora->begin()->second.scale == 2);
  CHECK(trained.lora->begin()->second.down.size(0) == 3);
  const Denoiser merged = base();
  merge_lora(merged.module(), *trained.lora, "test");
  CHECK(test::same_weights(merged, trained.model));
  const auto differs = [&](auto&& change) {
    jobs::TrainSpec other = spec;
    change(other.training.parameters);
    return !test::same_weights(
        trained.model, train(other, study.examples, {}, torch::kCPU, no_progress, nullptr, nullptr, base()).model);
  };
  CHECK(differs([](auto& p) { p.rank = 4; }));
  CHECK(differs([](auto& p) { p.alpha = 3; }));
  CHECK(differs([](auto& p) { p.kind = "attention"; }));
}

TEST_CASE("trained parameters: in pieces the same bits as in one go, from checkpoints that hold what is trained") {
  at::set_num_threads(1);
  const Study study;
  for (const char* name : {"attention", "lora"}) {
    CAPTURE(name);
    jobs::TrainSpec spec = tuning(name);
    spec.model["dropout"] = 0.1;
    const auto start = [&] { return make_denoiser(spec.model, 21); };
    const Trained whole =
        train(spec, study.examples, study.removed, torch::kCPU, no_progress, nullptr, nullptr, start());
    const Trained pieces = test::in_pieces({1, 5, 11}, [&](const auto& progress, JobCheckpoints& checkpoints) {
      return train(spec, study.examples, study.removed, torch::kCPU, progress, &checkpoints, nullptr, start());
    });
    CHECK(test::same_weights(whole.model, pieces.model));
    const jobs::UnlearnSpec unlearning = forgetting("guda_c", name);
    const auto forget = [&](const auto& progress, JobCheckpoints* checkpoints) {
      const Denoiser model = base();
      (void)unlearn(model, base(), unlearning, study.examples, study.removed, 8, torch::kCPU, progress, checkpoints);
      return model;
    };
    const Denoiser forgotten = forget(no_progress, nullptr);
    CHECK(test::same_weights(forgotten, test::in_pieces({1, 3, 5}, [&](const auto& progress, JobCheckpoints& kept) {
                               return forget(progress, &kept);
                             })));
  }
  const Denoiser model = base();
  NamedTensors all, some;
  append_state(model.module(), all);
  const TrainedParameters trained(model.module(), kind("lora"), SeedPath(1));
  trained.append_state(some);
  CHECK(some.size() == trained.tensors().size());
  const auto numbers = [](const NamedTensors& tensors) {
    std::int64_t sum = 0;
    for (const auto& [name, tensor] : tensors) sum += tensor.numel();
    return sum;
  };
  CHECK(numbers(some) * 2 < numbers(all));
}

TEST_CASE("trained parameters: a gang trains the LoRA that one worker trains, within 1e-5") {
  at::set_num_threads(1);
  const Study study;
  const jobs::TrainSpec spec = tuning("lora");
  const Trained alone = train(spec, study.examples, {}, torch::kCPU, no_progress, nullptr, nullptr, base());
  std::vector<Denoiser> members(2);
  const auto thrown = test::gang_of_threads(2, [&](Gang& gang) {
    members[gang.rank()] = train(spec, study.examples, {}, torch::kCPU, no_progress, nullptr, &gang, base()).model;
  });
  for (const auto& error : thrown) CHECK(error == nullptr);
  CHECK(test::same_weights(members[0], members[1]));
  const auto wanted = alone.model->named_parameters();
  for (const auto& p : members[0]->named_parameters())
    CHECK((p.value() - wanted[p.key()]).abs().max().item<double>() < 1e-5);
}

TEST_CASE("trained parameters: GUDA-C and ifu unlearn by attention or LoRA alone") {
  at::set_num_threads(1);
  const Study study;
  for (const char* op : {"guda_c", "ifu", "siss"}) {
    for (const char* name : {"attention", "lora"}) {
      CAPTURE(op);
      CAPTURE(name);
      const Denoiser model = base();
      const Unlearned unlearned =
          unlearn(model, base(), forgetting(op, name), study.examples, study.removed, 8, torch::kCPU, no_progress);
      CHECK(changed(base(), model) == projections(base(), std::string(name) == "attention"));
      CHECK(unlearned.lora.has_value() == (std::string(name) == "lora"));
    }
  }
}

TEST_CASE("trained parameters: a student shares its teacher's memory but for what is trained, to the same bits") {
  at::set_num_threads(1);
  const Study study;
  const Denoiser teacher = base();
  teacher->eval();
  for (const char* name : {"attention", "lora"}) {
    CAPTURE(name);
    const jobs::UnlearnSpec spec = forgetting("guda_c", name);
    const Denoiser student = student_of(teacher, test::tiny_text_model(), spec.unlearn.parameters);
    const auto theirs = teacher->named_parameters();
    for (const auto& p : student->named_parameters()) {
      const bool own = std::string(name) == "attention" && is_projection(p.key());
      CHECK((p.value().data_ptr() != theirs[p.key()].data_ptr()) == own);
    }
    (void)unlearn(student, teacher, spec, study.examples, study.removed, 8, torch::kCPU, no_progress);
    CHECK(test::same_weights(teacher, base()));
    const Denoiser copy = base();
    (void)unlearn(copy, base(), spec, study.examples, study.removed, 8, torch::kCPU, no_progress);
    CHECK(test::same_weights(student, copy));
  }
}

TEST_CASE("precision: weights from a 16-bit file are trained, averaged, checkpointed and published in float32") {
  at::set_num_threads(1);
  const Study study;
  const test::ScratchFolder scratch;
  const Denoiser half = base();
  const torch::NoGradGuard no_grad;
  std::vector<TensorToWrite> tensors;
  std::vector<torch::Tensor> alive;
  for (auto& p : half->named_parameters()) {
    alive.push_back(p.value().detach().to(torch::kHalf));
    tensors.push_back(to_write(p.key(), alive.back()));
  }
  save_denoiser(half, test::tiny_text_model(), scratch.path());
  write_safetensors(scratch / "diffusion_pytorch_model.safetensors", std::move(tensors));
  const Denoiser start = load_denoiser(scratch.path()), before = load_denoiser(scratch.path());
  jobs::TrainSpec spec = tuning("all");
  spec.training.optimizer.lr = 1e-6;  // steps that float16 would round away
  spec.training.ema_max_decay = 0.9;
  torch::AutoGradMode with_gradients(true);
  const Trained trained = train(spec, study.examples, {}, torch::kCPU, no_progress, nullptr, nullptr, start);
  std::int64_t moved = 0, numbers = 0, between = 0;
  const auto was = before->named_parameters();
  for (const auto& p : trained.model->named_parameters()) {
    CHECK((p.value().scalar_type() == torch::kFloat));
    moved += (p.value() != was[p.key()]).sum().item<std::int64_t>();
    between += (p.value() != p.value().to(torch::kHalf).to(torch::kFloat)).sum().item<std::int64_t>();
    numbers += p.value().numel();
  }
  CHECK(moved > numbers * 9 / 10);
  CHECK(between > numbers * 9 / 10);
  save_denoiser(trained.model, spec.model, scratch / "again");
  CHECK(test::same_weights(load_denoiser(scratch / "again"), trained.model));
  NamedTensors state;
  append_state(trained.model.module(), state);
  for (const auto& [name, tensor] : state) CHECK((tensor.scalar_type() == torch::kFloat));
}

TEST_CASE("trained parameters: a model without attention has nothing to train but all") {
  const Denoiser model = make_denoiser(test::tiny_model(), 1);
  CHECK_THROWS_AS(TrainedParameters(model.module(), kind("attention"), SeedPath(1)), Error);
  CHECK(TrainedParameters(model.module(), {}, SeedPath(1)).tensors().size() == model->parameters().size());
}
