#include "jobs/experiment_parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "common/config/scalar.hpp"
#include "common/config/suggest.hpp"
#include "jobs/experiment_tree.hpp"
#include "jobs/unet_config.hpp"

namespace guda::jobs {
namespace {

using config::Node;
namespace fs = std::filesystem;

struct Context {
  const fs::path& file;
  config::Issues& issues;
};

/// Keys of a struct, with those of nested structs as "optimizer.lr".
struct KnownKeys {
  std::vector<std::string> own, nested;
  template <class T>
  void operator()(const Field& field, const T& member) {
    own.emplace_back(field.key);
    if constexpr (Section<T>) {
      KnownKeys below;
      describe(below, member);
      for (const std::string& key : below.own) nested.push_back(fmt::format("{}.{}", field.key, key));
    }
  }
};

template <class T>
void parse(const Field& field, const Node& node, const std::string& at, T& value, const Context& context);

/// Parses the members of one struct, then judges keys that are unknown or have no meaning here.
class Members {
 public:
  Members(const Node& map, const std::string& prefix, const Context& context)
      : map_(map), prefix_(prefix), context_(context) {}

  template <class T>
  void operator()(const Field& field, T& member) {
    const Node* node = map_.find(field.key);
    if (node != nullptr) {
      parse(field, *node, path(field.key), member, context_);
      if (!field.only_key.empty()) conditional_.push_back(field);
    }
    if constexpr (std::is_same_v<T, std::string>) texts_[std::string(field.key)] = member;
  }

  void refuse_unknown(const KnownKeys& keys) {
    for (const Node::Entry& entry : map_.entries) {
      if (std::find(keys.own.begin(), keys.own.end(), entry.key) != keys.own.end()) continue;
      context_.issues.add(entry.key_at, path(entry.key), "is not a known key" + hint(entry.key, keys));
    }
  }

  void refuse_meaningless() {
    for (const Field& field : conditional_) {
      const std::string condition(field.only_key);
      const auto wanted = config::split(field.only_values, '|');
      if (context_.issues.concern(path(condition)) ||
          std::find(wanted.begin(), wanted.end(), texts_[condition]) != wanted.end())
        continue;
      context_.issues.add(map_.find(field.key)->at, path(field.key),
                          fmt::format("has no effect with {}: {}; it goes with {}", condition, texts_[condition],
                                      config::or_list(wanted)));
    }
  }

 private:
  [[nodiscard]] std::string path(std::string_view key) const {
    return prefix_.empty() ? std::string(key) : fmt::format("{}.{}", prefix_, key);
  }

  static std::string hint(const std::string& key, const KnownKeys& keys) {
    for (const char* const asked : {"precision", "mixed_precision", "dtype", "amp", "autocast", "fp16", "bf16"}) {
      if (key == asked)
        return ": the precision of products on a GPU is resources.precision (docs/decisions/precision.md)";
    }
    for (const std::string& nested : keys.nested) {
      if (nested.ends_with("." + key)) return fmt::format("; did you mean '{}'?", nested);
    }
    const std::string near = config::did_you_mean(key, keys.own);
    return near.empty() ? fmt::format(" (there are {})", config::or_list(keys.own)) : near;
  }

  const Node& map_;
  const std::string& prefix_;
  const Context& context_;
  std::map<std::string, std::string> texts_;
  std::vector<Field> conditional_;
};

template <class T>
void parse_struct(const Node& node, const std::string& at, T& value, const Context& context) {
  KnownKeys keys;
  describe(keys, std::as_const(value));
  if (node.is_null()) return;  // "training:" with every line below it commented out
  if (!node.is_map()) {
    context.issues.add(
        node.at, at,
        fmt::format("wants a mapping with the keys {}, not {}", config::or_list(keys.own), node.kind_name()));
    return;
  }
  Members members(node, at, context);
  describe(members, value);
  members.refuse_unknown(keys);
  members.refuse_meaningless();
}

void parse_text(const Field& field, const Node& node, const std::string& at, std::string& value,
                const Context& context) {
  const auto read = config::read_text(node);
  if (!read) return context.issues.add(node.at, at, read.wrong);
  if (!field.choices.empty()) {
    const auto choices = config::split(field.choices, '|');
    if (std::find(choices.begin(), choices.end(), read.value) == choices.end()) {
      return context.issues.add(node.at, at,
                                fmt::format("'{}' is not {}{}", read.value, config::or_list(choices),
                                            config::did_you_mean(read.value, choices)));
    }
  }
  const bool may_be_empty = read.value.empty() && value.empty();
  if (!field.name_rule.empty() && !may_be_empty && !follows_name_rule(field, read.value)) {
    return context.issues.add(node.at, at,
                              fmt::format("'{}' is not a name: {}", read.value.substr(0, 100), name_rule_text(field)));
  }
  value = read.value;
}

void parse_path(const Node& node, const std::string& at, fs::path& value, const Context& context) {
  const auto read = config::read_text(node);
  if (!read) return context.issues.add(node.at, at, read.wrong);
  if (read.value.empty()) return value.clear();
  const bool in_file = *node.at.source == context.file.string();
  value =
      (in_file ? fs::absolute(context.file).parent_path() / read.value : fs::absolute(read.value)).lexically_normal();
}

template <class T>
void parse_number(const Field& field, const Node& node, const std::string& at, T& value, const Context& context) {
  const auto read = [&] {
    if constexpr (std::is_floating_point_v<T>) return config::read_double(node);
    else return config::read_unsigned(node);
  }();
  if (!read) return context.issues.add(node.at, at, read.wrong);
  const auto number = static_cast<double>(read.value);
  const bool inside =
      field.open ? number > field.min && number < field.max : number >= field.min && number <= field.max;
  const bool fits = std::is_floating_point_v<T> || number <= static_cast<double>(std::numeric_limits<T>::max());
  if (!inside)
    return context.issues.add(node.at, at,
                              fmt::format("{} is out of range: it must be {}", node.text, range_text(field)));
  if (!fits)
    return context.issues.add(
        node.at, at,
        fmt::format("{} is out of range: it must be at most {}", node.text, std::numeric_limits<T>::max()));
  value = static_cast<T>(read.value);
}

template <class T>
void parse_list(const Field& field, const Node& node, const std::string& at, std::vector<T>& list,
                const Context& context) {
  if (!node.is_list()) {
    const std::string example =
        field.example.empty() ? "start each entry with '- '" : fmt::format("for example {}", field.example);
    return context.issues.add(node.at, at, fmt::format("wants a list, not {}: {}", node.kind_name(), example));
  }
  list.assign(node.items.size(), T{});
  for (std::size_t i = 0; i < list.size(); ++i) {
    parse(field, node.items[i], fmt::format("{}.{}", at, entry_segment(node, i)), list[i], context);
  }
}

/// Names that default to another field. `node` is the entry as written.
void name_by_default(const Node& node, MethodConfig& c) {
  if (node.find("name") == nullptr) c.name = c.method == "guda" ? c.unlearn.op : c.method;
}
void name_by_default(const Node& node, QuerySetConfig& c) {
  if (node.find("name") == nullptr) c.name = c.kind;
}
void name_by_default(const Node& node, WeightingConfig& c) {
  if (node.find("name") == nullptr) c.name = c.kind;
}

template <class T>
void parse(const Field& field, const Node& node, const std::string& at, T& value, const Context& context) {
  if constexpr (std::is_same_v<T, Json>) {
    value = read_unet_config(node, at, context.issues);
  } else if constexpr (std::is_same_v<T, bool>) {
    const auto read = config::read_bool(node);
    if (read) value = read.value;
    else context.issues.add(node.at, at, read.wrong);
  } else if constexpr (std::is_arithmetic_v<T>) {
    parse_number(field, node, at, value, context);
  } else if constexpr (std::is_same_v<T, std::string>) {
    parse_text(field, node, at, value, context);
  } else if constexpr (std::is_same_v<T, fs::path>) {
    parse_path(node, at, value, context);
  } else if constexpr (kIsList<T>) {
    parse_list(field, node, at, value, context);
  } else {
    parse_struct(node, at, value, context);
    if constexpr (requires { name_by_default(node, value); }) name_by_default(node, value);
  }
}

}  // namespace

Experiment parse_experiment(const Node& root, const fs::path& file, config::Issues& issues) {
  Experiment experiment;
  parse_struct(root, "", experiment, Context{file, issues});
  return experiment;
}

std::string range_text(const Field& field) {
  const bool above = field.max < std::numeric_limits<double>::infinity();
  if (field.open)
    return above ? fmt::format("more than {} and less than {}", field.min, field.max)
                 : fmt::format("more than {}", field.min);
  return above ? fmt::format("{} to {}", field.min, field.max) : fmt::format("at least {}", field.min);
}

bool follows_name_rule(const Field& field, const std::string& name) {
  const auto letter = [](unsigned char c) { return c < 128 && std::isalpha(c) != 0; };
  const auto alnum = [](unsigned char c) { return c < 128 && std::isalnum(c) != 0; };
  const std::string_view extra = field.name_rule == kRunNameCharacters ? "_. -" : "_";
  if (name.empty() || name.size() > field.name_length) return false;
  if (field.starts_with_letter ? !letter(static_cast<unsigned char>(name[0]))
                               : !alnum(static_cast<unsigned char>(name[0])))
    return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return alnum(static_cast<unsigned char>(c)) || extra.find(c) != std::string_view::npos;
  });
}

std::string name_rule_text(const Field& field) {
  return fmt::format("a {}, then up to {} of {}", field.starts_with_letter ? "letter" : "letter or digit",
                     field.name_length - 1, field.name_rule);
}

}  // namespace guda::jobs
