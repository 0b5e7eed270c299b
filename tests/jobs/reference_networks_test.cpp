#include "jobs/reference_networks.hpp"

#include <doctest/doctest.h>

#include "jobs/cost.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/memory.hpp"

namespace guda::jobs {

TEST_CASE("reference networks: they have the papers' parameters and multiplications") {
  CHECK(unet2d_parameters(cifar10_unet()) == 49062787);
  CHECK(unet2d_macs(cifar10_unet()) == doctest::Approx(8.380e9).epsilon(0.005));
  CHECK(unet2d_parameters(stable_diffusion_unet()) == 859520964);
  CHECK(unet2d_macs(stable_diffusion_unet()) == doctest::Approx(401.6e9).epsilon(0.01));
}

TEST_CASE("reference networks: the CIFAR-10 one is the recipe's") {
  const Experiment e = load_experiment(std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/cifar10-paper.yaml",
                                       {"dataset.path=" GUDA_SOURCE_DIR});
  const Json config = cifar10_unet();  // named: items() of a temporary dangles
  for (const auto& [key, value] : config.items()) CHECK_MESSAGE(e.model.at(key) == value, key);
}

}  // namespace guda::jobs
