#include "jobs/experiment_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/config/suggest.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {
namespace {

using config::Node;
using config::Position;

std::string text_of(const Node& map, std::string_view key) {
  const Node* value = map.find(key);
  return value != nullptr && value->is_scalar() ? value->text : "";
}

std::optional<std::size_t> to_index(const std::string& segment) {
  std::size_t index = 0;
  const auto result = std::from_chars(segment.data(), segment.data() + segment.size(), index);
  if (result.ec != std::errc() || result.ptr != segment.data() + segment.size()) return std::nullopt;
  return index;
}

void place_all(Node& node, const Position& at) {
  node.at = at;
  for (Node& item : node.items) place_all(item, at);
  for (Node::Entry& entry : node.entries) {
    entry.key_at = at;
    place_all(entry.value, at);
  }
}

/// The child that a segment names; nullptr after adding an issue.
Node* child(Node& parent, const std::string& segment, const std::string& parent_path, const Position& at,
            config::Issues& issues) {
  if (parent.is_null()) parent.kind = Node::Kind::map;
  if (parent.is_map()) {
    if (Node* found = parent.find(segment)) return found;
    parent.entries.push_back({segment, at, Node{}});
    parent.entries.back().value.at = at;
    return &parent.entries.back().value;
  }
  if (parent.is_list()) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < parent.items.size(); ++i) names.push_back(entry_segment(parent, i));
    const auto named = std::find(names.begin(), names.end(), segment);
    if (named != names.end()) return &parent.items[static_cast<std::size_t>(named - names.begin())];
    if (const auto index = to_index(segment); index && *index < parent.items.size()) return &parent.items[*index];
    issues.add(at, parent_path,
               fmt::format("has no entry '{}'{}{}", segment, config::did_you_mean(segment, names),
                           names.empty() ? "" : " (there are " + config::or_list(names) + ")"));
    return nullptr;
  }
  issues.add(at, parent_path, fmt::format("is a single value, so it has no '{}'", segment));
  return nullptr;
}

}  // namespace

std::string entry_name(const Node& entry) {
  if (!entry.is_map()) return "";
  if (entry.find("name") != nullptr) return text_of(entry, "name");
  const std::string method = text_of(entry, "method");
  if (method != "guda") return method.empty() ? text_of(entry, "kind") : method;
  const Node* unlearn = entry.find("unlearn");
  const std::string op = unlearn == nullptr ? "" : text_of(*unlearn, "op");
  return op.empty() ? UnlearnConfig{}.op : op;
}

std::string entry_segment(const Node& list, std::size_t index) {
  const std::string name = entry_name(list.items[index]);
  const bool plain = !name.empty() && name.find_first_of(". \t\n") == std::string::npos && !to_index(name);
  const auto same =
      std::count_if(list.items.begin(), list.items.end(), [&](const Node& item) { return entry_name(item) == name; });
  return plain && same == 1 ? name : std::to_string(index);
}

Located locate(const Node& root, const std::vector<std::string>& path) {
  Located found{root.at, "", false};
  const Node* node = &root;
  for (const std::string& segment : path) {
    std::string shown = segment;
    const Node* next = nullptr;
    if (node != nullptr && node->is_map()) {
      next = node->find(segment);
    } else if (node != nullptr && node->is_list()) {
      const auto index = to_index(segment);
      if (index && *index < node->items.size()) {
        next = &node->items[*index];
        shown = entry_segment(*node, *index);
      }
    }
    found.key += (found.key.empty() ? "" : ".") + shown;
    if (next != nullptr) found.at = next->at;
    node = next;
  }
  found.written = node != nullptr;
  return found;
}

void apply_override(Node& root, const std::string& override_text, config::Issues& issues) {
  const std::string source = "--set " + override_text;
  const Position at{std::make_shared<const std::string>(source), 0, 0};
  const std::size_t equals = override_text.find('=');
  const std::string path = override_text.substr(0, equals);
  const std::vector<std::string> segments = config::split(path, '.');
  const bool complete = !path.empty() && path.back() != '.' &&
                        std::none_of(segments.begin(), segments.end(), [](const auto& s) { return s.empty(); });
  if (equals == std::string::npos || !complete || segments.size() > config::kMaxDepth) {
    issues.add(at, "", "wants key.path=value, for example training.steps=10");
    return;
  }
  const std::string text = override_text.substr(equals + 1);
  const std::size_t before = issues.size();
  Node value = config::parse_yaml(text, source, issues);
  if (issues.size() != before) return;
  if (text.empty()) {  // "--set key=" means empty text, not "no value"
    value.kind = Node::Kind::scalar;
    value.quoted = true;
  }
  place_all(value, at);
  Node* node = &root;
  std::string walked;
  for (const std::string& segment : segments) {
    node = child(*node, segment, walked, at, issues);
    if (node == nullptr) return;
    walked += (walked.empty() ? "" : ".") + segment;
  }
  *node = std::move(value);
}

}  // namespace guda::jobs
