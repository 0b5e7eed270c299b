#include "jobs/config_reference.hpp"

#include <fmt/format.h>

#include <span>

#include "common/config/suggest.hpp"
#include "jobs/experiment_parse.hpp"
#include "jobs/experiment_schema.hpp"
#include "jobs/unet_config.hpp"

namespace guda::jobs {
namespace {

constexpr std::string_view kIntroduction = R"(# The experiment file

One YAML file says what `guda run` does. Only `model`, `queries` and `methods` must be given; everything else has the default
below. The shipped recipes (`jobs/recipes/`: `digits*.yaml`, `cifar10*.yaml`) are commented and made to be copied.

- Everything that is wrong is reported at once as `file:line:column: key: what`, before anything runs; exit code 2.
- Relative paths are relative to the folder of the file.
- `--set key.path=value` changes a key for one command; the value is YAML: `--set training.steps=10`,
  `--set 'seeds=[0, 1]'`. Entries of lists are addressed by name or by index from 0: `--set methods.ifu.unlearn.steps=5`.
  Relative paths in `--set` are relative to the current folder.
- Integers are decimal (`1000`, not `1e3` or `010`); numbers may be `1e-4`; booleans are `true` and `false`.
- Unknown and duplicate keys are errors, and so are keys that would have no effect ("only with" below).
- Anchors and aliases (`&name`, `*name`) work for whole values; merge keys (`<<`) do not. At most 1 MiB, 64 levels, 100,000 values.

This page is made by `guda config-reference` from the schema in `jobs/experiment_schema.hpp`; a test keeps it true.
)";

template <class T>
std::string type_of(const Field& field) {
  if constexpr (std::is_same_v<T, bool>) return "bool";
  else if constexpr (std::is_integral_v<T>) return "integer";
  else if constexpr (std::is_floating_point_v<T>) return "number";
  else if constexpr (std::is_same_v<T, std::filesystem::path>) return "path";
  else if constexpr (std::is_same_v<T, std::string>)
    return field.choices.empty() ? field.name_rule.empty() ? "text" : "name" : "choice";
  else if constexpr (kIsList<T>)
    return Section<typename T::value_type> ? "list" : "list of " + type_of<typename T::value_type>(field) + "s";
  else return "section";
}

template <class T>
std::string default_of(const Field& field, const T& value) {
  if (!field.by_default.empty()) return std::string(field.by_default);
  if constexpr (std::is_same_v<T, bool>) return value ? "`true`" : "`false`";
  else if constexpr (std::is_arithmetic_v<T>) return fmt::format("`{}`", value);
  else if constexpr (std::is_same_v<T, std::string>) return fmt::format("`{}`", value);
  else if constexpr (std::is_same_v<T, std::vector<std::uint64_t>>) return fmt::format("`[{}]`", value.at(0));
  else return "-";
}

template <class T>
std::string allowed(const Field& field) {
  std::string text;
  if (!field.choices.empty()) {
    for (const std::string& choice : config::split(field.choices, '|'))
      text += fmt::format("{}`{}`", text.empty() ? "" : ", ", choice);
  } else if (!field.name_rule.empty()) {
    text = name_rule_text(field);
  } else if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    text = range_text(field);
  }
  if (!field.unit.empty()) text += fmt::format(" {}", field.unit);
  return text;
}

/// Writes the table of one section; sections and lists of sections below it follow as tables of their own.
struct Table {
  std::string path;  ///< "training."; entries of a list are written "methods[]."
  std::string rows;
  std::string below;

  template <class T>
  void operator()(const Field& field, const T& member) {
    const std::string key = path + std::string(field.key);
    if constexpr (Section<T>) {
      section(field, key, member, "");
    } else if constexpr (kIsList<T>) {
      if constexpr (Section<typename T::value_type>) section(field, key, typename T::value_type{}, "[]");
      else row(field, member);
    } else if constexpr (std::is_same_v<T, Json>) {
      model(field, key);
    } else {
      row(field, member);
    }
  }

  template <class T>
  void row(const Field& field, const T& member) {
    std::string meaning(field.meaning);
    if (!field.only_key.empty()) {
      meaning +=
          fmt::format("; only with `{}:` {}", field.only_key, config::or_list(config::split(field.only_values, '|')));
    }
    if (!field.example.empty()) meaning += fmt::format("; example: `{}`", field.example);
    rows += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.key, type_of<T>(field), default_of(field, member),
                        allowed<T>(field), meaning);
  }

  template <class T>
  void section(const Field& field, const std::string& key, const T& value, std::string_view suffix) {
    Table table{key + std::string(suffix) + ".", "", ""};
    describe(table, value);
    std::string about =
        fmt::format("{}{}.", static_cast<char>(std::toupper(static_cast<unsigned char>(field.meaning[0]))),
                    field.meaning.substr(1));
    if (!field.only_key.empty()) about += fmt::format(" Only with `{}: {}`.", field.only_key, field.only_values);
    if (!field.by_default.empty()) about += fmt::format(" Default: {}.", field.by_default);
    below += fmt::format("\n## {}{}\n\n{}\n", key, suffix, about);
    below += table.text();
  }

  void model(const Field& field, const std::string& key) {
    below += fmt::format(
        "\n## {}\n\n{}. Digits need `in_channels: 1` and `out_channels: 1`, CIFAR-10 images and pictures 3.\n\n| key | "
        "type | "
        "default | allowed | "
        "meaning |\n|---|---|---|---|---|\n",
        key, field.meaning);
    keys(kUnetKeys);
    below += fmt::format(
        "\n### {} with `_class_name: UNet2DConditionModel`\n\nThe model of a `pipeline`.\n\n| key | type | default | "
        "allowed | meaning |\n|---|---|---|---|---|\n",
        key);
    keys(kUnetConditionKeys);
  }

  void keys(std::span<const UnetKey> of) {
    for (const UnetKey& unet : of) {
      Field choices{.key = unet.key};
      choices.choices = unet.choices;
      const bool number = unet.type.starts_with("int") || unet.type == "float";
      below += fmt::format("| `{}` | {} | `{}` | {} | {} |\n", unet.key, unet.type, unet.by_default,
                           number ? fmt::format("at least {}", unet.min) : allowed<std::string>(choices), unet.meaning);
    }
  }

  [[nodiscard]] std::string text() const {
    const std::string head = "\n| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
    return (rows.empty() ? "" : head + rows) + below;
  }
};

}  // namespace

std::string config_reference() {
  Table table;
  const Experiment defaults;
  describe(table, defaults);
  return std::string(kIntroduction) + "\n## Top level\n" + table.text();
}

}  // namespace guda::jobs
