#include "common/config/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

#include "common/config/utf8.hpp"

namespace guda::config {
namespace {

using Source = std::shared_ptr<const std::string>;

/// Leaves the parser of yaml-cpp from inside an event.
struct Stop {
  Position at;
  std::string what;
};

/// Builds the tree from parser events, so that limits hold while the text is read and not after.
class Builder final : public YAML::EventHandler {
 public:
  Builder(Source source, Issues& issues) : source_(std::move(source)), issues_(issues) {}

  [[nodiscard]] Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    complete(make(Node::Kind::null, mark), anchor, 1, 1);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(Node::Kind::scalar, mark);
    node.quoted = tag == "!";
    refuse_tag(tag, node.at);
    if (!node.quoted && (value == "null" || value == "Null" || value == "NULL" || value == "~"))
      node.kind = Node::Kind::null;
    if (const auto bad = find_control_character(value))
      throw Stop{node.at, fmt::format("text holds the control character {}", *bad)};
    node.text = value;
    complete(std::move(node), anchor, 1, 1);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Node::Kind::list, mark), tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(Node::Kind::map, mark), tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Position at = position(mark);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{at, "an alias inside of its own anchor"};
    count(found->second.nodes, at);
    Node copy = found->second.node;
    copy.at = at;
    complete(std::move(copy), YAML::NullAnchor, found->second.nodes, found->second.depth);
  }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::size_t nodes = 1;
    int depth = 1;
    std::optional<Node> key;
  };
  struct Anchored {
    Node node;
    std::size_t nodes = 1;
    int depth = 1;
  };

  [[nodiscard]] Position position(const YAML::Mark& mark) const {
    if (mark.is_null() && !stack_.empty()) return stack_.back().node.at;
    return {source_, mark.line + 1, mark.column + 1};
  }

  Node make(Node::Kind kind, const YAML::Mark& mark) {
    Node node;
    node.kind = kind;
    node.at = position(mark);
    count(1, node.at);
    return node;
  }

  void count(std::size_t nodes, const Position& at) {
    nodes_ += nodes;
    if (nodes_ > kMaxNodes)
      throw Stop{at, fmt::format("more than {} values (aliases count each time they are used)", kMaxNodes)};
  }

  static void refuse_tag(const std::string& tag, const Position& at) {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Stop{at, fmt::format("the tag {} has no meaning here; leave it out", tag)};
  }

  void open(Node node, const std::string& tag, YAML::anchor_t anchor) {
    refuse_tag(tag, node.at);
    if (stack_.size() >= kMaxDepth) throw Stop{node.at, fmt::format("nested deeper than {} levels", kMaxDepth)};
    Open opened;
    opened.node = std::move(node);
    opened.anchor = anchor;
    stack_.push_back(std::move(opened));
  }

  void close() {
    Open closed = std::move(stack_.back());
    stack_.pop_back();
    complete(std::move(closed.node), closed.anchor, closed.nodes, closed.depth);
  }

  /// Hands a finished value to the list or map that it stands in.
  void complete(Node node, YAML::anchor_t anchor, std::size_t nodes, int depth) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = {node, nodes, depth};
    if (stack_.size() + static_cast<std::size_t>(depth) > kMaxDepth + 1) {
      throw Stop{node.at, fmt::format("nested deeper than {} levels", kMaxDepth)};
    }
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    parent.nodes += nodes;
    parent.depth = std::max(parent.depth, depth + 1);
    if (parent.node.is_list()) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      if (node.is_list() || node.is_map()) throw Stop{node.at, "a key must be text"};
      parent.key = std::move(node);
    } else {
      add_entry(parent, std::move(node));
    }
  }

  /// Path of the innermost open map, with its dot.
  [[nodiscard]] std::string path() const {
    std::string text;
    for (const Open& open : stack_) {
      if (open.node.is_list()) text += fmt::format("{}.", open.node.items.size());
      if (open.key) text += open.key->text + ".";
    }
    return text;
  }

  void add_entry(Open& parent, Node value) {
    const Node key = std::move(*parent.key);
    parent.key.reset();
    if (key.text == "<<" && !key.quoted) {
      throw Stop{key.at, "merge keys (<<) are not supported: write the keys out, or alias whole values"};
    }
    if (const Node* first = parent.node.find(key.text)) {
      issues_.add(key.at, path() + key.text, fmt::format("is given twice; the first is in line {}", first->at.line));
      return;
    }
    parent.node.entries.push_back({key.text, key.at, std::move(value)});
  }

  Source source_;
  Issues& issues_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::size_t nodes_ = 0;
  Node root_;
};

/// What yaml-cpp says, in words that help.
std::string explain(const std::string& message) {
  if (message.find("illegal map value") != std::string::npos)
    return "not YAML: a ':' where none can stand; quote text that holds ': '";
  if (message.find("end of map not found") != std::string::npos)
    return "not YAML: this line's indentation fits no mapping above it";
  if (message.find("end of sequence") != std::string::npos)
    return "not YAML: a list is not closed, or a '-' is indented differently";
  if (message.find("unknown token") != std::string::npos) return "not YAML: quote values that start with @, ` or %";
  if (message.find("unknown anchor") != std::string::npos ||
      message.find("the referenced anchor") != std::string::npos) {
    return "not YAML: an alias (*name) without its anchor (&name); quote text that starts with *";
  }
  return "not YAML: " + message;
}

/// Tabs as indentation: yaml-cpp reads some and reports others far away.
std::optional<Position> find_tab(std::string_view text, const Source& source) {
  int line = 1;
  for (std::size_t start = 0; start < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view row = text.substr(start, end - start);
    const std::size_t content = row.find_first_not_of(" \t\r");
    const std::size_t tab = row.find('\t');
    if (tab < content && content != std::string_view::npos && row[content] != '#')
      return Position{source, line, static_cast<int>(tab) + 1};
    start = end + 1;
  }
  return std::nullopt;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &found->value;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

const char* Node::kind_name() const noexcept {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "a single value";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a mapping";
  }
  return "?";
}

Node parse_yaml(std::string_view text, const std::string& name, Issues& issues) {
  const auto source = std::make_shared<const std::string>(name);
  Node nothing;
  nothing.at = {source, 0, 0};
  if (text.size() > kMaxBytes) {
    issues.add(nothing.at, "", fmt::format("has {} bytes, more than {}", text.size(), kMaxBytes));
    return nothing;
  }
  if (const auto line = find_bad_utf8(text)) {
    issues.add({source, *line, 1}, "", "not UTF-8 text: save the file as UTF-8");
    return nothing;
  }
  if (const auto tab = find_tab(text, source)) {
    issues.add(*tab, "", "a tab in the indentation; YAML wants spaces");
    return nothing;
  }
  std::istringstream in{std::string(text)};
  try {
    YAML::Parser parser(in);
    Builder builder(source, issues);
    parser.HandleNextDocument(builder);
    Node root = builder.take();
    if (!root.at.source) root.at = nothing.at;
    Issues ignored;
    Builder second(source, ignored);
    if (parser && parser.HandleNextDocument(second)) {
      issues.add(second.take().at, "", "a second YAML document; keep one");
    }
    return root;
  } catch (const Stop& stop) {
    issues.add(stop.at, "", stop.what);
  } catch (const YAML::Exception& error) {
    const bool placed = !error.mark.is_null();
    issues.add({source, placed ? error.mark.line + 1 : 0, placed ? error.mark.column + 1 : 0}, "", explain(error.msg));
  }
  return nothing;
}

Node load_yaml(const std::filesystem::path& file, Issues& issues) {
  const Position at{std::make_shared<const std::string>(file.string()), 0, 0};
  std::error_code failed;
  const auto status = std::filesystem::status(file, failed);
  std::string why;
  if (!std::filesystem::exists(status)) {
    why = "there is no such file";
  } else if (std::filesystem::is_directory(status)) {
    why = "is a folder; name the experiment file in it";
  } else {
    std::ifstream in(file, std::ios::binary);
    std::string text(kMaxBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (in.gcount() > 0 || in.eof()) {
      if (text.size() <= kMaxBytes) return parse_yaml(text, file.string(), issues);
      why = fmt::format("is larger than {} bytes", kMaxBytes);
    } else {
      why = "cannot be read; check its permissions";
    }
  }
  Issues fatal;
  fatal.add(at, "", why);
  fatal.throw_if_any();
  return {};
}

}  // namespace guda::config
