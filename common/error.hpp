#pragma once
// Two error roots. Error: the world or the user is wrong, and the message names what, where and the cure.
// Bug: we are wrong. Leaves carry the class on which the scheduler decides whether a retry can help.
#include <stdexcept>
#include <string>

namespace guda {

/// What a failure says about trying again. On disk and on the wire: never renumber.
enum class ErrorClass : unsigned char {
  none = 0,
  crash = 1,          ///< worker died or was killed; retry, blame job and device
  out_of_memory = 2,  ///< retry only with less memory
  device = 3,         ///< sticky device error; restart the worker, retry elsewhere
  divergence = 4,     ///< NaN or Inf in a loss or in weights; never retried
  bad_input = 5,      ///< user data or checkpoint is wrong; never retried
  io = 6,             ///< file system; retried with back-off
  bug = 7,            ///< our fault; retried once, then quarantined
  lost = 8,           ///< its agent or node went away; seen by the coordinator only, never sent
};

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
  [[nodiscard]] virtual ErrorClass error_class() const noexcept { return ErrorClass::bad_input; }
};

struct IoError : Error {
  using Error::Error;
  [[nodiscard]] ErrorClass error_class() const noexcept override { return ErrorClass::io; }
};

struct DivergenceError : Error {
  using Error::Error;
  [[nodiscard]] ErrorClass error_class() const noexcept override { return ErrorClass::divergence; }
};

struct Bug : std::logic_error {
  using std::logic_error::logic_error;
};

[[nodiscard]] const char* to_string(ErrorClass c) noexcept;

}  // namespace guda
