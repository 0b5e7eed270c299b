#pragma once
// The YAML tree of an experiment file: how its values are addressed by people ("methods.ifu.unlearn.steps"), where they
// stand, and how --set changes them.
#include <string>
#include <string_view>
#include <vector>

#include "common/config/yaml.hpp"

namespace guda::jobs {

/// Name by which people address an entry of a list: its `name`, else what the name would default to; "" if neither is
/// written.
[[nodiscard]] std::string entry_name(const config::Node& entry);

/// Segment of entry `index` in a key path: its name when that is unique in the list, else the index.
[[nodiscard]] std::string entry_segment(const config::Node& list, std::size_t index);

struct Located {
  config::Position at;  ///< of the value, or of what would hold it
  std::string key;      ///< the path for people
  bool written;         ///< false where the defaults speak
};

/// Finds a value; list entries are addressed by index ("0") in `path`.
[[nodiscard]] Located locate(const config::Node& root, const std::vector<std::string>& path);

/// Applies "key.path=value" to the tree; the value is read as YAML. List entries are addressed by name or index.
/// Keys that do not exist yet are created, so that the schema judges them; their position is the --set argument.
void apply_override(config::Node& root, const std::string& override_text, config::Issues& issues);

}  // namespace guda::jobs
