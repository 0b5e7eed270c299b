#pragma once
// Between torch's tensors and the bytes of a safetensors file.
#include <ATen/core/Tensor.h>

#include <string>

#include "common/safetensors.hpp"

namespace guda::worker {

[[nodiscard]] at::ScalarType scalar_type(Dtype stored);

/// A view of the mapped bytes where they are aligned, else a copy; valid while `file` lives. Not to be written to.
[[nodiscard]] at::Tensor tensor_from(const SafetensorsFile& file, const std::string& name);

/// Describes a contiguous CPU tensor, which must outlive the result. Bug for types that the format lacks.
[[nodiscard]] TensorToWrite to_write(std::string name, const at::Tensor& tensor);

}  // namespace guda::worker
