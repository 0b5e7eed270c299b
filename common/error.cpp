#include "common/error.hpp"

namespace guda {

const char* to_string(ErrorClass c) noexcept {
  switch (c) {
    case ErrorClass::none:
      return "none";
    case ErrorClass::crash:
      return "crash";
    case ErrorClass::out_of_memory:
      return "out of memory";
    case ErrorClass::device:
      return "device";
    case ErrorClass::divergence:
      return "divergence";
    case ErrorClass::bad_input:
      return "bad input";
    case ErrorClass::io:
      return "i/o";
    case ErrorClass::bug:
      return "bug";
    case ErrorClass::lost:
      return "lost";
  }
  return "unknown";
}

}  // namespace guda
