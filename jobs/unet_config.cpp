#include "jobs/unet_config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/config/scalar.hpp"
#include "common/config/suggest.hpp"

namespace guda::jobs {
namespace {

using config::Node;

/// Reads one key; `wrong` gets the complaint.
Json read_int(const UnetKey& key, const Node& node, std::string& wrong) {
  const auto read = config::read_integer(node);
  wrong = read.wrong;
  if (read && (static_cast<double>(read.value) < key.min || read.value > 65536))
    wrong = fmt::format("must be {} to 65536", key.min);
  return read.value;
}

Json read_float(const UnetKey& key, const Node& node, std::string& wrong) {
  const auto read = config::read_double(node);
  wrong = read.wrong;
  if (read && (read.value < key.min || read.value > 1e6)) wrong = fmt::format("must be {} to 1e6", key.min);
  return read.value;
}

Json read_choice(const UnetKey& key, const Node& node, std::string& wrong) {
  const auto read = config::read_text(node);
  wrong = read.wrong;
  const auto choices = config::split(key.choices, '|');
  if (read && std::find(choices.begin(), choices.end(), read.value) == choices.end()) {
    wrong = fmt::format("'{}' is not {}{}", read.value, config::or_list(choices),
                        config::did_you_mean(read.value, choices));
  }
  return read.value;
}

Json read_list(const UnetKey& key, const Node& node, std::string& wrong) {
  Json list = Json::array();
  if (!node.is_list()) wrong = fmt::format("wants a list, not {}", node.kind_name());
  if (node.is_list() && (node.items.empty() || node.items.size() > 16)) wrong = "wants 1 to 16 entries";
  for (std::size_t i = 0; wrong.empty() && i < node.items.size(); ++i) {
    const bool ints = key.type.find("int") != std::string_view::npos;
    list.push_back(ints ? read_int(key, node.items[i], wrong) : read_choice(key, node.items[i], wrong));
    if (!wrong.empty()) wrong = fmt::format("entry {}: {}", i + 1, wrong);
  }
  return list;
}

Json read_value(const UnetKey& key, const Node& node, std::string& wrong) {
  if (node.is_null() && key.type.ends_with("null")) return nullptr;
  if (key.type == "int list" || key.type == "text list") return read_list(key, node, wrong);
  if (key.type.starts_with("int, int list"))
    return node.is_list() ? read_list(key, node, wrong) : read_int(key, node, wrong);
  if (key.type.starts_with("int")) return read_int(key, node, wrong);
  if (key.type == "float") return read_float(key, node, wrong);
  if (key.type == "bool") {
    const auto read = config::read_bool(node);
    wrong = read.wrong;
    return read.value;
  }
  return read_choice(key, node, wrong);
}

/// Checks across keys. `read` holds only keys that are right by themselves.
class Fit {
 public:
  Fit(const Json& read, const Node& node, const std::string& at, config::Issues& issues)
      : read_(read), node_(node), at_(at), issues_(issues), condition_(is_condition_model(read)) {}

  void check() {
    if (any_wrong(
            {"block_out_channels", "down_block_types", "up_block_types", "norm_num_groups", "attention_head_dim"}))
      return;
    const std::size_t blocks = list_size("block_out_channels");
    for (const char* key : {"down_block_types", "up_block_types"}) {
      if (list_size(key) == blocks) continue;
      complain(key, fmt::format("has {} entries, but block_out_channels has {}", list_size(key), blocks));
    }
    const std::int64_t groups = read_.value("norm_num_groups", std::int64_t{32});
    for (const Json& channels : channels_of_blocks()) {
      if (channels.get<std::int64_t>() % groups == 0) continue;
      complain("block_out_channels",
               fmt::format("{} is not a multiple of norm_num_groups, {}", channels.dump(), groups));
    }
    check_heads();
    if (const auto size = read_.find("sample_size"); size != read_.end() && size->is_array() && size->size() != 2) {
      complain("sample_size", "wants one number or [height, width]");
    }
    if (read_.value("in_channels", 3) != read_.value("out_channels", 3)) {
      complain("out_channels", "must equal in_channels: the model predicts an image");
    }
    if (read_.value("dropout", 0.0) >= 1) complain("dropout", "must be less than 1");
  }

 private:
  void complain(std::string_view key, std::string what) {
    const Node* value = node_.find(key);
    issues_.add(value == nullptr ? node_.at : value->at, fmt::format("{}.{}", at_, key), std::move(what));
  }

  /// Keys that are written but did not get through: no judgement on what depends on them.
  [[nodiscard]] bool any_wrong(std::initializer_list<const char*> keys) const {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const char* key) { return node_.find(key) != nullptr && !read_.contains(key); });
  }

  [[nodiscard]] std::size_t list_size(const char* key) const { return read_.contains(key) ? read_[key].size() : 4; }

  [[nodiscard]] Json channels_of_blocks() const {
    return read_.value("block_out_channels", condition_ ? Json{320, 640, 1280, 1280} : Json{224, 448, 672, 896});
  }

  void check_heads() {
    if (condition_) return check_cross_attention();
    const Json head = read_.value("attention_head_dim", Json(8));
    if (head.is_null()) return;
    const Json channels = channels_of_blocks();
    const Json down =
        read_.value("down_block_types", Json{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"});
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const bool middle = i + 1 == channels.size() && read_.value("add_attention", true);
      const bool attends = middle || (i < down.size() && down[i] == "AttnDownBlock2D");
      if (!attends || channels[i].get<std::int64_t>() % head.get<std::int64_t>() == 0) continue;
      complain("attention_head_dim",
               fmt::format("{} channels with attention are not a multiple of {}", channels[i].dump(), head.dump()));
    }
  }

  void check_cross_attention() {
    const auto heads = read_.value("attention_head_dim", std::int64_t{8});
    for (const Json& channels : channels_of_blocks()) {
      if (channels.get<std::int64_t>() % heads == 0) continue;
      complain("attention_head_dim", fmt::format("{} channels are not a multiple of {} heads", channels.dump(), heads));
    }
  }

  const Json& read_;
  const Node& node_;
  const std::string& at_;
  config::Issues& issues_;
  const bool condition_;
};

/// The keys of the class that the mapping names.
std::span<const UnetKey> keys_of(const Node& node) {
  const Node* name = node.find("_class_name");
  if (name == nullptr) return kUnetKeys;
  return kUnetConditionKeys;
}

}  // namespace

bool is_condition_model(const Json& model) {
  return model.is_object() && model.value("_class_name", "") == "UNet2DConditionModel";
}

Json read_unet_config(const Node& node, const std::string& at, config::Issues& issues) {
  Json model = Json::object();
  if (!node.is_map()) {
    issues.add(node.at, at,
               fmt::format("wants a mapping with the keys of a UNet2DModel's config.json, not {}", node.kind_name()));
    return model;
  }
  const std::span<const UnetKey> known = keys_of(node);
  std::vector<std::string> keys;
  for (const UnetKey& key : known) keys.emplace_back(key.key);
  for (const Node::Entry& entry : node.entries) {
    const auto key = std::find_if(known.begin(), known.end(), [&](const UnetKey& k) { return k.key == entry.key; });
    const std::string path = at + "." + entry.key;
    if (key == known.end()) {
      issues.add(
          entry.key_at, path,
          fmt::format("is not a key of {}{}", known.data() == kUnetKeys.data() ? "UNet2DModel" : "UNet2DConditionModel",
                      config::did_you_mean(entry.key, keys)));
      continue;
    }
    std::string wrong;
    Json value = read_value(*key, entry.value, wrong);
    if (wrong.empty()) {
      model[entry.key] = std::move(value);
    } else {
      issues.add(entry.value.at, path, wrong);
    }
  }
  Fit(model, node, at, issues).check();
  return model;
}

}  // namespace guda::jobs
