#pragma once
// What is wrong with a configuration, all of it at once: issues are collected while a document is visited and thrown
// together, because a person on a batch queue gets one chance an hour.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"

namespace guda::config {

/// Where a value was written. 1-based; line 0: the source as a whole (a missing key, a --set argument).
struct Position {
  std::shared_ptr<const std::string> source;  ///< file name, or "--set key=value"; never null once parsed
  int line = 0, column = 0;
};

struct ConfigIssue {
  std::string file;
  int line = 0, column = 0;
  std::string key;   ///< full path: training.optimizer.lr; empty for the document itself
  std::string what;  ///< what is wrong and how to cure it
  /// "file:line:column: key: what"
  [[nodiscard]] std::string text() const;
};

/// what() holds every issue, one a line.
struct ConfigError : Error {
  explicit ConfigError(std::vector<ConfigIssue> found);
  std::vector<ConfigIssue> issues;
};

/// Collects issues. Keeps the first 100: a broken generator must not flood a terminal.
class Issues {
 public:
  void add(const Position& at, std::string_view key, std::string what);
  /// Whether an issue was found at this key, below it or above it: cross-checks of such keys would only add noise.
  [[nodiscard]] bool concern(std::string_view key) const;
  [[nodiscard]] bool empty() const noexcept { return found_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return found_.size(); }
  /// Throws ConfigError with all issues in the order of the document, if there are any.
  void throw_if_any();

 private:
  std::vector<ConfigIssue> found_;
  std::size_t dropped_ = 0;
};

}  // namespace guda::config
