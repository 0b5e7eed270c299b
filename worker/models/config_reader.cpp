#include "worker/models/config_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace guda::worker {
namespace {

/// A whole number from `low` to `high`. Json made in C++ holds signed integers where parsed Json holds unsigned ones.
std::optional<std::uint32_t> count_from(const Json& v, std::uint32_t low, std::uint32_t high) {
  if (!v.is_number_integer() || (!v.is_number_unsigned() && v.get<std::int64_t>() < 0)) return std::nullopt;
  const auto n = v.get<std::uint64_t>();
  if (n < low || n > high) return std::nullopt;
  return static_cast<std::uint32_t>(n);
}

}  // namespace

void ConfigReader::class_name(const char* name) {
  if (const auto found = json_.find("_class_name"); found != json_.end() && *found != name) {
    fault("_class_name", found->dump() + " is not " + name);
  }
}

void ConfigReader::flag(const char* key, bool& out) {
  with(key, [&](const Json& v) {
    if (v.is_boolean()) out = v.get<bool>();
    else fault(key, v.dump() + " is not true or false");
  });
}

void ConfigReader::count(const char* key, std::uint32_t& out, std::uint32_t low, std::uint32_t high) {
  with(key, [&](const Json& v) { read_count(key, v, out, low, high); });
}

void ConfigReader::count(const char* key, std::optional<std::uint32_t>& out, std::uint32_t low, std::uint32_t high) {
  with(key, [&](const Json& v) {
    std::uint32_t value = low;
    if (v.is_null()) out.reset();
    else if (read_count(key, v, value, low, high)) out = value;
  });
}

void ConfigReader::counts(const char* key, std::vector<std::uint32_t>& out, std::uint32_t low, std::uint32_t high) {
  with(key, [&](const Json& v) {
    if (!is_list(key, v)) return;
    out.assign(v.size(), low);
    for (std::size_t i = 0; i < v.size(); ++i) read_count(key, v[i], out[i], low, high);
  });
}

void ConfigReader::count_or_counts(const char* key, std::vector<std::uint32_t>& out, std::uint32_t low,
                                   std::uint32_t high) {
  with(key, [&](const Json& v) {
    if (v.is_array()) return counts(key, out, low, high);
    std::uint32_t value = low;
    if (read_count(key, v, value, low, high)) out.assign(1, value);
  });
}

void ConfigReader::number(const char* key, double& out, double low, double high) {
  with(key, [&](const Json& v) {
    if (v.is_number() && v.get<double>() >= low && v.get<double>() <= high) out = v.get<double>();
    else fault(key, fmt::format("{} is not a number from {} to {}", v.dump(), low, high));
  });
}

void ConfigReader::choice(const char* key, std::string& out, std::initializer_list<const char*> known) {
  with(key, [&](const Json& v) { read_choice(key, v, out, known); });
}

void ConfigReader::choice(const char* key, std::optional<std::string>& out, std::initializer_list<const char*> known) {
  with(key, [&](const Json& v) {
    std::string value;
    if (v.is_null()) out.reset();
    else if (read_choice(key, v, value, known)) out = value;
  });
}

void ConfigReader::choices(const char* key, std::vector<std::string>& out, std::initializer_list<const char*> known) {
  with(key, [&](const Json& v) {
    if (!is_list(key, v)) return;
    out.assign(v.size(), *known.begin());
    for (std::size_t i = 0; i < v.size(); ++i) read_choice(key, v[i], out[i], known);
  });
}

void ConfigReader::image_size(const char* key, std::optional<std::array<std::uint32_t, 2>>& out) {
  with(key, [&](const Json& v) {
    if (v.is_null()) return out.reset();
    const bool pair = v.is_array() && v.size() == 2;
    const auto height = count_from(pair ? v[0] : v, 1, kMaxImage), width = count_from(pair ? v[1] : v, 1, kMaxImage);
    if (height && width) out = {*height, *width};
    else fault(key, v.dump() + " is neither a size nor a pair of sizes");
  });
}

void ConfigReader::only(const char* key, const Json& value) {
  with(key, [&](const Json& v) {
    if (v != value) fault(key, fmt::format("{} is not supported, only {}", v.dump(), value.dump()));
  });
}

void ConfigReader::with(const char* key, const std::function<void(const Json&)>& read) {
  known_.push_back(key);
  if (const auto found = json_.find(key); found != json_.end()) read(*found);
}

void ConfigReader::refuse_other_keys(const char* model) {
  for (const auto& [key, value] : json_.items()) {
    if (!key.starts_with('_') && std::find(known_.begin(), known_.end(), key) == known_.end()) {
      fault(key, std::string("is not a key that ") + model + " supports");
    }
  }
}

bool ConfigReader::read_count(const char* key, const Json& v, std::uint32_t& out, std::uint32_t low,
                              std::uint32_t high) {
  const std::optional<std::uint32_t> n = count_from(v, low, high);
  if (n) out = *n;
  else fault(key, fmt::format("{} is not a whole number from {} to {}", v.dump(), low, high));
  return n.has_value();
}

bool ConfigReader::read_choice(const char* key, const Json& v, std::string& out,
                               std::initializer_list<const char*> known) {
  if (v.is_string() && std::find(known.begin(), known.end(), v.get_ref<const std::string&>()) != known.end()) {
    out = v.get<std::string>();
    return true;
  }
  fault(key, fmt::format("{} is not one of {}", v.dump(), fmt::join(known, ", ")));
  return false;
}

bool ConfigReader::is_list(const char* key, const Json& v) {
  if (v.is_array() && !v.empty() && v.size() <= kMaxBlocks) return true;
  fault(key, fmt::format("is not a list of 1 to {} entries", kMaxBlocks));
  return false;
}

}  // namespace guda::worker
