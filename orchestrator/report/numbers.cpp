#include "orchestrator/report/numbers.hpp"

#include <fmt/format.h>

#include <cmath>

namespace guda::orchestrator::report {
namespace {

std::string with_minus_sign(std::string text) {
  if (text.find_first_of("123456789") == std::string::npos && text.starts_with('-')) text.erase(0, 1);  // no "-0.00"
  for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos;) text.replace(at, 1, "\u2212");
  return text;
}

}  // namespace

std::string significant(double value, int digits) {
  if (!std::isfinite(value)) return "n/a";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size < 1e-4 || size >= 1e6) {
    const std::string text = fmt::format("{:.{}e}", value, digits - 1);
    const std::size_t e = text.find('e');
    return with_minus_sign(fmt::format("{}e{}", text.substr(0, e), std::stoi(text.substr(e + 1))));
  }
  const int before_point = static_cast<int>(std::floor(std::log10(size))) + 1;
  return with_minus_sign(fmt::format("{:.{}f}", value, std::max(0, digits - before_point)));
}

std::string shortest(double value) {
  if (!std::isfinite(value)) return "n/a";
  const double size = std::abs(value);
  return size != 0 && (size < 1e-4 || size >= 1e6) ? significant(value, 1)
                                                   : with_minus_sign(fmt::format("{:.6g}", value));
}

std::string fixed(double value, int decimals) {
  return std::isfinite(value) ? with_minus_sign(fmt::format("{:.{}f}", value, decimals)) : "n/a";
}

std::string percent(double fraction) { return std::isfinite(fraction) ? fixed(100 * fraction, 0) + "\u00a0%" : "n/a"; }

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "n/a";
  const auto in = [&](double unit, const char* name) {
    const double value = seconds / unit;
    return (value < 10 ? significant(value, 2) : fixed(value, 0)) + "\u00a0" + name;
  };
  if (seconds < 120) return in(1, "s");
  return seconds < 7200 ? in(60, "min") : in(3600, "h");
}

std::string counted(unsigned long long count, const std::string& noun, const std::string& plural) {
  return fmt::format("{} {}", count, count == 1 ? noun : plural.empty() ? noun + "s" : plural);
}

}  // namespace guda::orchestrator::report
