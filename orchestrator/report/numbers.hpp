#pragma once
// Numbers as a reader wants them: few digits, a real minus sign, units that fit.
#include <string>

namespace guda::orchestrator::report {

/// `digits` significant digits, plain notation for 1e-4 <= |x| < 1e6, else powers of ten; "n/a" for NaN.
[[nodiscard]] std::string significant(double value, int digits = 3);
/// As few digits as say the value, for ticks: "0.5", "200", "0.001".
[[nodiscard]] std::string shortest(double value);
/// Fixed decimals; "n/a" for NaN.
[[nodiscard]] std::string fixed(double value, int decimals);
/// "82 %"; "n/a" for NaN.
[[nodiscard]] std::string percent(double fraction);
/// "34 s", "3.9 min", "2.1 h".
[[nodiscard]] std::string duration(double seconds);
/// "1 job", "12 jobs": the plural adds an s unless given.
[[nodiscard]] std::string counted(unsigned long long count, const std::string& noun, const std::string& plural = "");

}  // namespace guda::orchestrator::report
