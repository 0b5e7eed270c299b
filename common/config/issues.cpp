#include "common/config/issues.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace guda::config {
namespace {

constexpr std::size_t kMostIssues = 100;

std::string all_of(const std::vector<ConfigIssue>& issues) {
  std::string text;
  for (const ConfigIssue& issue : issues) {
    if (!text.empty()) text += '\n';
    text += issue.text();
  }
  return text;
}

}  // namespace

std::string ConfigIssue::text() const {
  std::string place = file;
  if (line > 0) place += fmt::format(":{}:{}", line, column);
  return key.empty() ? fmt::format("{}: {}", place, what) : fmt::format("{}: {}: {}", place, key, what);
}

ConfigError::ConfigError(std::vector<ConfigIssue> found) : Error(all_of(found)), issues(std::move(found)) {}

void Issues::add(const Position& at, std::string_view key, std::string what) {
  if (found_.size() == kMostIssues) {
    ++dropped_;
    return;
  }
  found_.push_back(
      {at.source ? *at.source : std::string("configuration"), at.line, at.column, std::string(key), std::move(what)});
}

bool Issues::concern(std::string_view key) const {
  const auto below = [](std::string_view path, std::string_view above) {
    return !above.empty() && path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '.');
  };
  return std::any_of(found_.begin(), found_.end(),
                     [&](const ConfigIssue& issue) { return below(issue.key, key) || below(key, issue.key); });
}

void Issues::throw_if_any() {
  if (found_.empty()) return;
  std::stable_sort(found_.begin(), found_.end(), [](const ConfigIssue& a, const ConfigIssue& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  if (dropped_ > 0) {
    ConfigIssue last{found_.front().file, 0, 0, "", fmt::format("{} more issues are not shown", dropped_)};
    found_.push_back(std::move(last));
  }
  throw ConfigError(std::move(found_));
}

}  // namespace guda::config
