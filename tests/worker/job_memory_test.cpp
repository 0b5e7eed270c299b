// What the plan says a job needs against the resident memory that its tensors take.
#include <doctest/doctest.h>
#include <malloc.h>
#include <torch/torch.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "common/memory.hpp"
#include "jobs/memory.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/failure.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

constexpr double kFactor = 1.25;  // jobs/memory.hpp

/// Every tensor is a mapping of its own: what glibc's heap holds between them is not measured.
void without_heap() { ::mallopt(M_MMAP_THRESHOLD, 1 << 16); }

double resident() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// The most that this process takes while `work` runs, beyond what it has before.
double peak_of(const std::function<void()>& work) {
  ::malloc_trim(0);
  reset_peak_memory();
  const double before = resident();
  work();
  return static_cast<double>(peak_memory()) - before;
}

Json wide(Json model) {
  model["block_out_channels"] = {96, 192};
  model["norm_num_groups"] = 32;
  if (model.contains("cross_attention_dim")) model["attention_head_dim"] = 4;
  return model;
}

void check(const char* what, const jobs::Work& work, const jobs::Experiment& experiment,
           const std::function<void()>& run) {
  CAPTURE(what);
  jobs::JobSpec job;
  job.work = work;
  const double said = jobs::job_memory(job, experiment), taken = peak_of(run);
  MESSAGE(what << ": " << taken / 1e6 << " MB taken, " << said / 1e6 << " MB said, ratio " << taken / said);
  CHECK(taken < kFactor * said);
  CHECK(said < kFactor * taken);
}

struct Study : test::TinyStyles {
  jobs::Experiment experiment;
  jobs::TrainSpec training = test::tiny_training(2);

  Study() {
    at::set_num_threads(1);
    experiment.model = training.model = wide(test::tiny_text_model());
    training.training.batch = 32;
    // Libraries allocate what they keep on their first use.
    (void)train(training, examples, {}, torch::kCPU, no_progress);
  }
};

}  // namespace

TEST_CASE("job memory: training takes what the plan says, of pixels, of latents, with a LoRA, with checkpointing") {
  without_heap();
  Study study;
  jobs::TrainSpec pixels = study.training;
  jobs::Experiment plain = study.experiment;
  plain.model = pixels.model = wide(test::tiny_model());
  const jobs::Dataset digits = test::tiny_dataset();
  check("train, pixels", pixels, plain, [&] { (void)train(pixels, digits, {}, torch::kCPU, no_progress); });
  const auto trained = [&](const jobs::TrainSpec& spec) {
    return [&] {
      (void)train(spec, study.examples, {}, torch::kCPU, no_progress, nullptr, nullptr, {},
                  {.recompute = study.experiment.resources.gradient_checkpointing});
    };
  };
  check("train, latents and texts", study.training, study.experiment, trained(study.training));
  jobs::TrainSpec lora = study.training, micro = study.training;
  lora.training.parameters.kind = "lora";
  check("train a LoRA", lora, study.experiment, trained(lora));
  micro.micro_batch = 8;
  check("train in micro-batches", micro, study.experiment, trained(micro));
  study.experiment.resources.gradient_checkpointing = true;
  check("train with gradient checkpointing", study.training, study.experiment, trained(study.training));
}

TEST_CASE("job memory: unlearning takes what the plan says, its teacher's weights shared where they are the same") {
  without_heap();
  Study study;
  jobs::UnlearnSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.unlearn.op = "guda_c";
  spec.unlearn.anchor.mode = "uniform";
  spec.unlearn.steps = 2;
  spec.unlearn.retain_batch = spec.unlearn.forget_batch = 8;
  const Json& config = study.experiment.model;
  const auto unlearned = [&] {
    const Denoiser teacher = make_denoiser(config, 3);
    const Denoiser model = spec.unlearn.parameters.empty() ? make_denoiser(config, 3)
                                                           : student_of(teacher, config, spec.unlearn.parameters);
    (void)unlearn(model, teacher, spec, study.examples, study.removed, 8, torch::kCPU, no_progress);
  };
  check("unlearn", spec, study.experiment, unlearned);
  spec.unlearn.parameters.kind = "attention";
  check("unlearn by attention", spec, study.experiment, unlearned);
  spec.unlearn.parameters.kind = "lora";
  check("unlearn by a LoRA", spec, study.experiment, unlearned);
}

TEST_CASE("job memory: scoring takes what the plan says") {
  without_heap();
  Study study;
  jobs::ScoreSpec spec;
  spec.batch = 256;
  for (std::uint32_t t = 0; t < 8; ++t) spec.slots.push_back({10 * t, 0, 1});
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) names.push_back(std::to_string(i));
  const auto score = [&](std::uint32_t batch) {
    const Denoiser model = make_denoiser(study.experiment.model, 3);
    model->eval();
    (void)squared_errors(model, test::tiny_diffusion(), torch::zeros({64, 4, 8, 8}), names, spec.slots, batch, 1,
                         torch::kCPU, no_progress, torch::zeros({64, 8, 16}));
  };
  score(1);  // pages of the libraries are not the job's
  check("score", spec, study.experiment, [&] { score(spec.batch); });
}
