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

std::string fixed(double value, int decimals) {
  return std::isfinite(value) ? with_minus_sign(fmt::format("{:.{}f}", value, decimals)) : "n/a";
}

std::string percent(double fraction) {
  return std::isfinite(fraction) ? fixed(100 * fraction, 0) + "\u00a0%" : "n/a";
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "n/a";
  if (seconds < 120) return significant(seconds, seconds < 10 ? 2 : 3) + "\u00a0s";
  if (seconds < 7200) return significant(seconds / 60, 3) + "\u00a0min";
  return significant(seconds / 3600, 3) + "\u00a0h";
}

std::string counted(unsigned long long count, const std::string& noun, const std::string& plural) {
  return fmt::format("{} {}", count, count == 1 ? noun : plural.empty() ? noun + "s" : plural);
}

}  // namespace guda::orchestrator::report
