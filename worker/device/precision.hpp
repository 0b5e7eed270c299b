#pragma once
#include <string>

namespace guda::worker {

/// How a GPU multiplies float32 numbers from here on, convolutions and matrix products alike: as they are for
/// "float32", factors rounded to TF32 for "tf32" and for "bfloat16", which is about the weights of training and
/// unlearning and leaves this to everything else. Error for another name. Of the process.
void set_product_precision(const std::string& dtype);

}  // namespace guda::worker
