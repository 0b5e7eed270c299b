#pragma once
// One way to read a command line, so that every command has --help with examples and the same errors.
#include <boost/program_options.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace guda::cli {

/// Exit codes of the product (architecture 6).
inline constexpr int kDone = 0, kInternal = 1, kBadInput = 2, kQuarantined = 10, kStoppedEarly = 75;

struct UsageError : Error {
  using Error::Error;
};

/// What a command declares about itself.
struct Synopsis {
  std::string usage;     ///< "guda run EXPERIMENT [options]"
  std::string purpose;   ///< one or two sentences
  std::string examples;  ///< shown under --help
};

/// Parses `arguments` (without the program and the command). Prints help and returns nothing when asked for it.
/// `positional` lists names in order, "+" behind the last one takes all that follow. Throws UsageError.
[[nodiscard]] std::optional<boost::program_options::variables_map> parse(
    const Synopsis& synopsis, boost::program_options::options_description options,
    const std::vector<std::string>& positional, const std::vector<std::string>& arguments);

/// Columns of the terminal behind stdout, 100 when it is none.
[[nodiscard]] int terminal_columns();

}  // namespace guda::cli
