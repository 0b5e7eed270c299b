#include "worker/failure.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <vector>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

template <class Act>
Failure failure_of(Act&& act) {
  try {
    act();
  } catch (...) {
    return describe_failure(std::current_exception());
  }
  FAIL("nothing was thrown");
  return {};
}

[[nodiscard]] bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("failure: memory that the host does not give is out of memory, with the peak in the text") {
  const auto real = [] { (void)torch::empty({std::int64_t{1} << 50}, torch::kFloat32); };
  const auto too_long = [] { (void)std::vector<char>(std::size_t{1} << 62); };
  for (const Failure& failure : {failure_of(real), failure_of(too_long), failure_of([] { throw std::bad_alloc(); })}) {
    CAPTURE(failure.text);
    CHECK(failure.error == ErrorClass::out_of_memory);
    CHECK(contains(failure.text, "this worker's host memory has peaked at "));
    CHECK(contains(failure.text, "Cure: a smaller batch"));
  }
  CHECK(contains(failure_of(real).text, "tried to allocate 4503599627370496 bytes"));
}

TEST_CASE("failure: what the CUDA runtime says is a device error, unless it is about memory") {
  const c10::SourceLocation here{__func__, __FILE__, __LINE__};
  const auto accelerator = [&](int code, const char* text) {
    return failure_of([&] { throw c10::AcceleratorError(here, code, text); });
  };
  CHECK(accelerator(700, "CUDA error: an illegal memory access was encountered").error == ErrorClass::device);
  CHECK(accelerator(719, "CUDA error: unspecified launch failure").error == ErrorClass::device);
  CHECK(accelerator(2, "CUDA error: out of memory").error == ErrorClass::out_of_memory);
  CHECK(failure_of([&] {
          throw c10::OutOfMemoryError(here, "CUDA out of memory. Tried to allocate 2.00 GiB");
        }).error == ErrorClass::out_of_memory);
  CHECK(failure_of([&] { throw c10::Error(here, "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"); }).error ==
        ErrorClass::device);
  for (const char* text : {"CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                           "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"})
    CHECK(failure_of([&] { throw std::runtime_error(text); }).error == ErrorClass::out_of_memory);
  CHECK(failure_of([] { throw std::runtime_error("CUDA error: device-side assert triggered"); }).error ==
        ErrorClass::device);
}

TEST_CASE("failure: streams and the file system are i/o") {
  const auto stream = [] {
    std::ifstream in;
    in.exceptions(std::ios::failbit);
    in.open("/nonexistent/file");
  };
  CHECK(failure_of(stream).error == ErrorClass::io);
  CHECK(failure_of([] { std::filesystem::rename("/nonexistent/a", "/nonexistent/b"); }).error == ErrorClass::io);
  CHECK(failure_of([] { throw IoError("disk"); }).error == ErrorClass::io);
}

TEST_CASE("failure: a run that diverges says at which step, timestep and item, and is never tried again") {
  at::set_num_threads(1);
  jobs::TrainSpec spec = test::tiny_training(50);
  spec.training.optimizer.lr = 1e30;
  spec.training.warmup_steps = 0;
  const Failure failure =
      failure_of([&] { (void)train(spec, test::tiny_dataset(), {}, torch::kCPU, test::no_progress); });
  CAPTURE(failure.text);
  CHECK(failure.error == ErrorClass::divergence);
  CHECK(contains(failure.text, " at step "));
  CHECK(contains(failure.text, "item "));
  CHECK(contains(failure.text, " at t="));
}

TEST_CASE("failure: everything else is our bug, and keeps its text") {
  CHECK(failure_of([] { throw Bug("ours"); }).error == ErrorClass::bug);
  CHECK(failure_of([] { throw std::logic_error("theirs"); }).text == "theirs");
  CHECK(failure_of([] { (void)torch::zeros({2, 3}).matmul(torch::zeros({2, 3})); }).error == ErrorClass::bug);
  CHECK(failure_of([] { throw 5; }).error == ErrorClass::bug);
  CHECK(failure_of([] { throw Error("the user's"); }).error == ErrorClass::bad_input);
}
