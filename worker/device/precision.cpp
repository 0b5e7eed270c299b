#include "worker/device/precision.hpp"

#include <ATen/Context.h>

#include "common/error.hpp"

namespace guda::worker {

void set_product_precision(const std::string& dtype) {
  if (dtype != "float32" && dtype != "tf32" && dtype != "bfloat16")
    throw Error("precision: '" + dtype + "' is not one of float32, tf32, bfloat16");
  // The older of LibTorch's two interfaces: it sets both, and LibTorch throws where they disagree.
  at::globalContext().setAllowTF32CuDNN(dtype != "float32");
  at::globalContext().setAllowTF32CuBLAS(dtype != "float32");
}

}  // namespace guda::worker
