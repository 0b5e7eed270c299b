#pragma once
// What an exception says about trying again: the worker's side of the error classes.
#include <exception>
#include <string>

#include "common/error.hpp"

namespace guda::worker {

struct Failure {
  ErrorClass error = ErrorClass::bug;
  std::string text;
};

/// Errors of ours keep their class. Memory that the host or a device did not give is out_of_memory, with this process's
/// peak in the text; what the CUDA runtime or one of its libraries reports otherwise is device (it is sticky: the
/// process is of no more use); failures of streams and of std::filesystem are io; everything else is a bug.
[[nodiscard]] Failure describe_failure(const std::exception_ptr& error);

}  // namespace guda::worker
