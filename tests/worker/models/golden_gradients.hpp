#pragma once
// What the tests of recorded models share: the files of a kind, and gradients against recorded ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/safetensors.hpp"
#include "tests/worker/models/golden_weights.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::testing {

/// tests/golden/<prefix>*.safetensors, in order.
inline std::vector<std::filesystem::path> golden_files(const std::string& prefix) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(GUDA_SOURCE_DIR) + "/tests/golden")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(".safetensors")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Goes back through `loss`, then checks it against `loss` of the file and the gradient of every parameter that has one
/// against `grad.<name>`, within 1e-4. No recorded gradient may be left over.
inline void check_golden_gradients(torch::nn::Module& module, const at::Tensor& loss, const SafetensorsFile& file) {
  CHECK(loss.item<double>() == doctest::Approx(worker::tensor_from(file, "loss").item<double>()).epsilon(1e-5));
  loss.backward();
  std::size_t compared = 0;
  for (const auto& p : module.named_parameters()) {
    if (!p.value().requires_grad()) continue;
    CAPTURE(p.key());
    REQUIRE(file.tensors().contains("grad." + p.key()));
    const at::Tensor reference = worker::tensor_from(file, "grad." + p.key());
    REQUIRE(p.value().grad().defined());
    // Gradients that cancel exactly in real arithmetic (a bias before a group norm of one channel per group, that of
    // attention's keys) are rounding noise on both sides.
    const double noise = 1e-6 * loss.item<double>();
    if (reference.abs().max().item<double>() > noise) {
      CHECK(relative_error(p.value().grad(), reference) < 1e-4);
    } else {
      CHECK(p.value().grad().abs().max().item<double>() < 10 * noise);
    }
    ++compared;
  }
  const auto recorded = std::count_if(file.tensors().begin(), file.tensors().end(),
                                      [](const auto& tensor) { return tensor.first.starts_with("grad."); });
  CHECK(compared == static_cast<std::size_t>(recorded));
}

}  // namespace guda::testing
