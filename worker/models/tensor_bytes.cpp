#include "worker/models/tensor_bytes.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/error.hpp"

namespace guda::worker {
namespace {

struct Row {
  Dtype stored;
  at::ScalarType type;
};
constexpr std::array kTypes{Row{Dtype::f64, at::kDouble},    Row{Dtype::f32, at::kFloat},   Row{Dtype::f16, at::kHalf},
                            Row{Dtype::bf16, at::kBFloat16}, Row{Dtype::i64, at::kLong},    Row{Dtype::i32, at::kInt},
                            Row{Dtype::u8, at::kByte},       Row{Dtype::boolean, at::kBool}};

}  // namespace

at::ScalarType scalar_type(Dtype stored) {
  const auto* const row = std::find_if(kTypes.begin(), kTypes.end(), [&](const Row& r) { return r.stored == stored; });
  if (row == kTypes.end()) throw Bug("a dtype without a type of torch's");
  return row->type;
}

at::Tensor tensor_from(const SafetensorsFile& file, const std::string& name) {
  const std::span<const std::byte> bytes = file.bytes(name);
  const TensorEntry& entry = file.tensors().at(name);
  const at::ScalarType type = scalar_type(entry.dtype);
  const std::vector<std::int64_t> shape(entry.shape.begin(), entry.shape.end());
  if (bytes.empty()) return at::empty(shape, type);
  void* data = const_cast<std::byte*>(bytes.data());
  if (reinterpret_cast<std::uintptr_t>(data) % size_of(entry.dtype) == 0) return at::from_blob(data, shape, type);
  at::Tensor copy = at::empty(shape, type);
  std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(copy.data_ptr()));
  return copy;
}

TensorToWrite to_write(std::string name, const at::Tensor& tensor) {
  if (!tensor.is_contiguous() || !tensor.is_cpu()) throw Bug("to_write: '" + name + "' is not contiguous on the CPU");
  for (const Row& row : kTypes) {
    if (row.type != tensor.scalar_type()) continue;
    return {.name = std::move(name),
            .dtype = row.stored,
            .shape = {tensor.sizes().begin(), tensor.sizes().end()},
            .bytes = {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
  }
  throw Bug("to_write: '" + name + "' has a type that safetensors lacks");
}

}  // namespace guda::worker
