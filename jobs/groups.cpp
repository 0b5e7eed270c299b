#include "jobs/groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string_view>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "jobs/drawn_groups.hpp"
#include "jobs/json_lines.hpp"

namespace guda::jobs {
namespace {

constexpr std::size_t kMaxNameLength = 64;
using OrderedJson = nlohmann::ordered_json;  // keeps the order in which the file lists the groups

bool is_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kMaxNameLength && letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || c == '_' || c == '.' || c == ' ' || c == '-'; });
}

/// A group as written down, with the place to name in an error about it.
struct Draft {
  std::string name, where;
  std::vector<std::uint32_t> items;
};

void check_name(std::string_view name, const std::string& where) {
  if (is_name(name)) return;
  throw Error(
      fmt::format("{}: '{}' is no group name; a name has 1 to {} letters, digits, '_', '.', ' ' or '-' and begins "
                  "with a letter or digit",
                  where, name, kMaxNameLength));
}

void check_item(std::uint64_t item, const Dataset& dataset, const std::string& where) {
  if (item < dataset.labels.size()) return;
  throw Error(fmt::format("{}: item {} is not in the data set; items are row numbers 0..{}", where, item,
                          dataset.labels.size() - 1));
}

std::vector<char> train_flags(const Dataset& dataset) {
  std::vector<char> is_train(dataset.labels.size(), 0);
  for (const std::uint32_t item : dataset.train) is_train[item] = 1;
  return is_train;
}

std::vector<Draft> by_class(const Dataset& dataset) {
  std::vector<Draft> groups;
  for (const std::string& name : dataset.class_names) groups.push_back({name, "groups: class " + name, {}});
  for (const std::uint32_t item : dataset.train) groups[dataset.labels[item]].items.push_back(item);
  std::erase_if(groups, [](const Draft& group) { return group.items.empty(); });
  return groups;
}

std::vector<Draft> from_csv(const std::string& text, const std::string& file, const Dataset& dataset) {
  std::vector<Draft> groups;
  std::map<std::string, std::size_t, std::less<>> place;
  std::size_t line = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++line;
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view row = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    if (row.empty() || (line == 1 && row == "item,group")) continue;
    const std::string where = fmt::format("{}:{}", file, line);
    std::uint64_t item = 0;
    const auto [next, error] = std::from_chars(row.data(), row.data() + row.size(), item);
    if (error != std::errc{} || next == row.data() + row.size() || *next != ',') {
      throw Error(fmt::format("{}: '{}' is not item,group, for example 17,cats", where, row));
    }
    const std::string name(row.substr(static_cast<std::size_t>(next - row.data()) + 1));
    check_name(name, where);
    check_item(item, dataset, where);
    const auto [found, fresh] = place.try_emplace(name, groups.size());
    if (fresh) groups.push_back({name, where, {}});
    groups[found->second].items.push_back(static_cast<std::uint32_t>(item));
  }
  return groups;
}

std::vector<Draft> from_json(const std::string& text, const std::string& file, const Dataset& dataset) {
  // The parser keeps the last of two equal keys in silence; this callback sees them all.
  std::set<std::string> seen;
  const auto refuse_twins = [&](int depth, OrderedJson::parse_event_t event, OrderedJson& value) {
    if (event == OrderedJson::parse_event_t::key && depth == 1 && !seen.insert(value.get<std::string>()).second) {
      throw Error(
          fmt::format("{}: the group '{}' is listed twice; merge the two lists", file, value.get<std::string>()));
    }
    return true;
  };
  OrderedJson manifest;
  try {
    manifest = OrderedJson::parse(text, refuse_twins);
  } catch (const OrderedJson::exception& error) {
    throw Error(fmt::format("{}: no JSON: {}", file, error.what()));
  }
  if (!manifest.is_object()) throw Error(fmt::format("{}: the manifest is no object {{\"group\": [items]}}", file));
  std::vector<Draft> groups;
  for (const auto& [name, items] : manifest.items()) {
    const std::string where = fmt::format("{}: group '{}'", file, name);
    check_name(name, where);
    if (!items.is_array()) throw Error(where + " is no list of items");
    Draft group{name, where, {}};
    for (const auto& item : items) {
      if (!item.is_number_unsigned()) {
        throw Error(fmt::format("{}: {} is no item; items are row numbers 0..{}", where, item.dump(),
                                dataset.labels.size() - 1));
      }
      check_item(item.get<std::uint64_t>(), dataset, where);
      group.items.push_back(item.get<std::uint32_t>());
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// By every value of a key, sorted.
std::vector<Draft> by_key(const std::string& key, const Dataset& dataset) {
  const auto column = dataset.keys.find(key);
  if (column == dataset.keys.end()) {
    std::vector<std::string> known;
    for (const auto& [name, unused] : dataset.keys) known.push_back(name);
    throw Error(fmt::format("groups.key: the data set's pictures have no key '{}'{}", key,
                            known.empty() ? "; dataset.kind: image_folder has keys"
                                          : fmt::format("; they have {}", fmt::join(known, ", "))));
  }
  std::map<std::string, std::vector<std::uint32_t>> items;
  for (std::uint32_t item = 0; item < column->second.size(); ++item) {
    for (const std::string& value : column->second[item]) items[value].push_back(item);
  }
  std::vector<Draft> groups;
  for (auto& [name, own] : items) {
    const std::string where = "groups.key: " + key;
    check_name(name, where);
    groups.push_back({name, where, std::move(own)});
  }
  const std::vector<char> is_train = train_flags(dataset);
  std::erase_if(groups, [&](const Draft& group) {
    return std::none_of(group.items.begin(), group.items.end(),
                        [&](std::uint32_t item) { return is_train[item] != 0; });
  });
  return groups;
}

/// Those of these names, in this order; underscores stand for spaces.
std::vector<Draft> chosen_groups(std::vector<Draft> all, const std::vector<std::string>& names) {
  std::vector<Draft> chosen;
  for (const std::string& name : names) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Draft& group) { return plain_name(group.name) == plain_name(name); });
    if (found == all.end()) {
      std::vector<std::string> known;
      for (const Draft& group : all) known.push_back(group.name);
      throw Error(fmt::format("groups.only: there is no group '{}', or it is listed twice; left are {}", name,
                              fmt::join(known, ", ")));
    }
    chosen.push_back(std::move(*found));
    all.erase(found);
  }
  return chosen;
}

/// Sorted, unique training items; throws when nothing or everything is left.
Group restrict_to_training(Draft draft, const std::vector<char>& is_train, std::size_t train_size) {
  std::vector<std::uint32_t>& items = draft.items;
  std::erase_if(items, [&](std::uint32_t item) { return is_train[item] == 0; });
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  if (items.empty()) {
    throw Error(fmt::format("{}: the group '{}' has no training item; drop it, or raise dataset.train", draft.where,
                            draft.name));
  }
  if (items.size() == train_size) {
    throw Error(fmt::format("{}: the group '{}' is the whole training set, nothing would be left to train on; split it",
                            draft.where, draft.name));
  }
  return {std::move(draft.name), std::move(items)};
}

}  // namespace

std::vector<Group> make_groups(const GroupsConfig& config, const Dataset& dataset) {
  std::vector<Draft> drafts;
  std::string origin = "groups.by: class";
  if (config.by == "class") {
    drafts = by_class(dataset);
  } else if (config.by == "key") {
    origin = "groups.key: " + config.key;
    drafts = by_key(config.key, dataset);
  } else if (config.by == "manifest") {
    origin = config.manifest.string();
    if (origin.empty()) throw Error("groups.manifest: is not set; name a CSV (item,group) or JSON file");
    const std::string extension = config.manifest.extension().string();
    if (extension != ".csv" && extension != ".json") {
      throw Error(fmt::format("groups.manifest: {} is neither .csv nor .json", origin));
    }
    const std::string text = read_file(config.manifest);
    drafts = extension == ".csv" ? from_csv(text, origin, dataset) : from_json(text, origin, dataset);
  } else {
    origin = "groups.by: " + config.by;
    for (Group& group : drawn_groups(config, dataset))
      drafts.push_back({std::move(group.name), origin, std::move(group.items)});
  }
  if (!config.only.empty()) drafts = chosen_groups(std::move(drafts), config.only);
  const std::vector<char> is_train = train_flags(dataset);
  std::vector<Group> groups;
  for (Draft& draft : drafts) groups.push_back(restrict_to_training(std::move(draft), is_train, dataset.train.size()));
  if (groups.size() < 2) {
    throw Error(fmt::format("{}: {} group(s) found; a comparison needs at least 2", origin, groups.size()));
  }
  return groups;
}

}  // namespace guda::jobs
