#pragma once
// YAML as a tree of values that know where they were written. Stricter than YAML: no duplicate keys, one document,
// keys are text, and limits that no honest file meets. The only place of yaml-cpp is yaml.cpp.
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config/issues.hpp"

namespace guda::config {

inline constexpr int kMaxDepth = 64;
inline constexpr std::size_t kMaxNodes = 100000;  ///< after the expansion of aliases
inline constexpr std::size_t kMaxBytes = 1U << 20U;

/// Entries and items own their children; a Node is a value.
struct Node {
  enum class Kind { null, scalar, list, map };
  struct Entry;

  Kind kind = Kind::null;
  std::string text;            ///< scalars: as written, quotes and escapes resolved
  bool quoted = false;         ///< scalars: text whatever it looks like
  std::vector<Node> items;     ///< lists
  std::vector<Entry> entries;  ///< maps, in the order of the file, keys unique
  Position at;

  [[nodiscard]] bool is_null() const noexcept { return kind == Kind::null; }
  [[nodiscard]] bool is_scalar() const noexcept { return kind == Kind::scalar; }
  [[nodiscard]] bool is_list() const noexcept { return kind == Kind::list; }
  [[nodiscard]] bool is_map() const noexcept { return kind == Kind::map; }
  /// The value of a key of a map, or nullptr.
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] Node* find(std::string_view key);
  /// What people call it: "a list", "text", ...
  [[nodiscard]] const char* kind_name() const noexcept;
};

struct Node::Entry {
  std::string key;
  Position key_at;
  Node value;
};

/// Parses one document; `source` names it in issues. Adds an issue and returns a null node when the text is not YAML or
/// exceeds a limit; duplicate keys are issues too, and the first value is kept.
[[nodiscard]] Node parse_yaml(std::string_view text, const std::string& source, Issues& issues);

/// Parses a file. Throws ConfigError when it can't be read.
[[nodiscard]] Node load_yaml(const std::filesystem::path& file, Issues& issues);

}  // namespace guda::config
