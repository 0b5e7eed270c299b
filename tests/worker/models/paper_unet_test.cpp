// The network of the CIFAR-10 experiment (methods.md 1.1), as its recipe describes it.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>

#include "jobs/cost.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/memory.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/models/unet2d_condition.hpp"

using namespace guda;

TEST_CASE("CIFAR-10 UNet: the recipe's model has 49,062,787 parameters and 8.38 GMAC (methods.md 1.1)") {
  const jobs::Experiment e = jobs::load_experiment(
      std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/cifar10-paper.yaml", {"dataset.path=" GUDA_SOURCE_DIR});
  worker::UNet2D model = worker::make_unet2d(e.model, 0);
  std::int64_t parameters = 0;
  for (const auto& p : model->parameters()) parameters += p.numel();
  CHECK(parameters == 49062787);
  CHECK(jobs::unet2d_macs(e.model) == doctest::Approx(8.38e9).epsilon(0.005));
}

TEST_CASE(
    "CIFAR-10 guide: the recipe's class-conditional model has diffusers' 96,611,715 parameters (methods.md 3.1)") {
  const jobs::Experiment e = jobs::load_experiment(
      std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/cifar10-paper.yaml", {"dataset.path=" GUDA_SOURCE_DIR});
  const Json config = jobs::guide_model(e, 10);
  worker::UNet2DCondition guide = worker::make_unet2d_condition(config, 0);
  std::int64_t parameters = 0;
  for (const auto& p : guide->parameters()) parameters += p.numel();
  CHECK(parameters == 96611715);
  CHECK(jobs::unet2d_parameters(config) == 96611715);
}
