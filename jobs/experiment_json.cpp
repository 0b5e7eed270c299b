#include "jobs/experiment_json.hpp"

#include <fmt/format.h>

#include <set>

#include "common/error.hpp"
#include "jobs/experiment_schema.hpp"

namespace guda::jobs {
namespace {

template <class T>
Json encode(const T& value);

struct Dump {
  Json out = Json::object();
  template <class T>
  void operator()(const Field& field, const T& member) {
    out[std::string(field.key)] = encode(member);
  }
};

template <class T>
Json encode_list(const std::vector<T>& list) {
  Json out = Json::array();
  for (const T& entry : list) out.push_back(encode(entry));
  return out;
}

template <class T>
Json encode(const T& value) {
  if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return value.string();
  } else if constexpr (std::is_same_v<T, Json> || std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (requires { encode_list(value); }) {
    return encode_list(value);
  } else {
    Dump dump;
    describe(dump, value);
    return std::move(dump.out);
  }
}

[[noreturn]] void refuse(const std::string& at, const std::string& what) {
  throw Error(fmt::format("{}: {}", at.empty() ? "experiment as JSON" : at, what));
}

template <class T>
void decode(const Json& json, const std::string& at, T& value);

struct Read {
  const Json& json;
  std::string prefix;
  std::set<std::string, std::less<>> known;

  template <class T>
  void operator()(const Field& field, T& member) {
    const std::string key(field.key);
    const std::string at = prefix.empty() ? key : prefix + "." + key;
    known.insert(key);
    const auto found = json.find(key);
    if (found == json.end()) refuse(at, "the key is missing");
    decode(*found, at, member);
  }
};

template <class T>
void decode_integer(const Json& json, const std::string& at, T& value) {
  if (!json.is_number_unsigned() && !(json.is_number_integer() && json.get<std::int64_t>() >= 0)) {
    refuse(at, "wants a non-negative integer, not " + json.dump());
  }
  const auto wide = json.get<std::uint64_t>();
  if (wide > std::numeric_limits<T>::max()) refuse(at, fmt::format("{} is too large", wide));
  value = static_cast<T>(wide);
}

template <class T>
void decode_list(const Json& json, const std::string& at, std::vector<T>& list) {
  if (!json.is_array()) refuse(at, "wants a list");
  list.assign(json.size(), T{});
  for (std::size_t i = 0; i < list.size(); ++i) decode(json[i], fmt::format("{}[{}]", at, i), list[i]);
}

template <class T>
void decode(const Json& json, const std::string& at, T& value) {
  if constexpr (std::is_same_v<T, Json>) {
    value = json;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) refuse(at, "wants true or false, not " + json.dump());
    value = json.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    decode_integer(json, at, value);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) refuse(at, "wants a number, not " + json.dump());
    value = json.get<T>();
  } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::filesystem::path>) {
    if (!json.is_string()) refuse(at, "wants a string, not " + json.dump());
    value = json.get<std::string>();
  } else if constexpr (requires { decode_list(json, at, value); }) {
    decode_list(json, at, value);
  } else {
    if (!json.is_object()) refuse(at, "wants an object");
    Read read{json, at, {}};
    describe(read, value);
    for (const auto& [key, unused] : json.items()) {
      if (!read.known.contains(key)) refuse(at.empty() ? key : at + "." + key, "is not a known key");
    }
  }
}

}  // namespace

#define GUDA_DEFINE(T)                                            \
  void to_json(Json& j, const T& c) { j = encode(c); }            \
  void from_json(const Json& j, T& c) { decode(j, std::string(), c); } \
  /**/
GUDA_CONFIG_STRUCTS(GUDA_DEFINE)
#undef GUDA_DEFINE

}  // namespace guda::jobs
