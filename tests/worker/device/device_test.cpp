#include "worker/device/device.hpp"

#include <ATen/Context.h>
#include <doctest/doctest.h>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/device/precision.hpp"
#include "worker/device/replay.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("device: precision is set for convolutions and matrix products alike, in a way that LibTorch can read back") {
  for (const char* dtype : {"tf32", "float32", "bfloat16", "float32"}) {
    CAPTURE(dtype);
    set_product_precision(dtype);
    const bool rounded = std::string(dtype) != "float32";
    CHECK(at::globalContext().allowTF32CuDNN() == rounded);
    CHECK(at::globalContext().allowTF32CuBLAS() == rounded);
    const auto wanted = rounded ? at::Float32Precision::TF32 : at::Float32Precision::IEEE;
    for (const auto op : {at::Float32Op::CONV, at::Float32Op::MATMUL}) {
      const auto set = at::globalContext().float32Precision(at::Float32Backend::CUDA, op);
      CHECK((set == wanted || (!rounded && set == at::Float32Precision::NONE)));
    }
  }
  CHECK_THROWS_AS(set_product_precision("fp8"), Error);
}

TEST_CASE("device: a CPU is always there; a GPU that is not is refused with a cure") {
  jobs::Numerics numerics;
  CHECK(open_device(numerics).is_cpu());
  if (gpu_count() > 0) return;
  numerics.device = "cuda";
  CHECK_THROWS_WITH_AS((void)open_device(numerics), doctest::Contains("Cure: resources.device: cpu"), Error);
  CHECK_FALSE(why_no_gpu().empty());
}

TEST_CASE("device: moving a model to the CPU changes nothing; work on a CPU is never captured") {
  const UNet2D model = make_unet2d(test::tiny_model(), 3);
  UNet2D moved = make_unet2d(test::tiny_model(), 3);
  move_to(*moved, torch::kCPU);
  CHECK(test::same_weights(model, moved));
  Replay replay(torch::kCPU);
  int runs = 0;
  for (int i = 0; i < 6; ++i) replay.run([&] { ++runs; });
  CHECK(runs == 6);
  CHECK_FALSE(replay.is_captured());
  CHECK_FALSE(replay.why_not().empty());
}
