#include "worker/collective/gang.hpp"

#include <ATen/ATen.h>

#include "common/error.hpp"

namespace guda::worker {

void Gang::all_reduce(at::Tensor& values) {
  if (values.scalar_type() != at::kFloat || !values.is_contiguous())
    throw Bug("a gang adds up dense float32 tensors only");
  at::Tensor host = values.cpu();  // on a CPU the tensor itself
  all_reduce(std::span(host.mutable_data_ptr<float>(), static_cast<std::size_t>(host.numel())));
  if (!values.is_cpu()) values.copy_(host);
}

}  // namespace guda::worker
