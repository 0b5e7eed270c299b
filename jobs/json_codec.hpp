#pragma once
// JSON of any struct that has a describe() (jobs/experiment_schema.hpp): all keys are written, and all keys, no others,
// are wanted back. For the .cpp files that define JSON hooks; nobody else includes it.
#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/json.hpp"
#include "jobs/experiment_schema.hpp"

namespace guda::jobs::codec {

/// Throws Error "at: what".
[[noreturn]] inline void refuse(const std::string& at, const std::string& what) {
  throw Error(at.empty() ? "JSON: " + what : at + ": " + what);
}

template <class T>
Json encode(const T& value);
template <class T>
void decode(const Json& json, const std::string& at, T& value);

struct Dump {
  Json out = Json::object();
  template <class T>
  void operator()(const Field& field, const T& member) {
    // An older version refuses keys that it does not know: it need not see those that say nothing.
    if constexpr (requires { member.empty(); }) {
      if (field.younger && member.empty()) return;
    } else if constexpr (std::is_arithmetic_v<T>) {
      if (field.younger && member == T{}) return;
    }
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
Json encode_map(const std::map<Digest, T>& map) {
  Json out = Json::object();
  for (const auto& [digest, entry] : map) out[digest.hex] = encode(entry);
  return out;
}

template <class T>
Json encode(const T& value) {
  if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return value.string();
  } else if constexpr (std::is_same_v<T, Digest>) {
    return value.hex;
  } else if constexpr (std::is_same_v<T, Json> || std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (requires { encode_list(value); }) {
    return encode_list(value);
  } else if constexpr (requires { encode_map(value); }) {
    return encode_map(value);
  } else {
    Dump dump;
    describe(dump, value);
    return std::move(dump.out);
  }
}

inline std::string below(const std::string& at, std::string_view key) {
  return at.empty() ? std::string(key) : fmt::format("{}.{}", at, key);
}

struct Read {
  const Json& json;
  std::string prefix;
  std::set<std::string, std::less<>> known;

  template <class T>
  void operator()(const Field& field, T& member) {
    const std::string key(field.key);
    known.insert(key);
    const auto found = json.find(key);
    if (found == json.end() && field.younger) return;
    if (found == json.end()) refuse(below(prefix, key), "the key is missing");
    decode(*found, below(prefix, key), member);
  }
};

template <std::unsigned_integral T>
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

inline Digest decode_digest(const std::string& hex, const std::string& at) {
  if (!hex.empty() && (hex.size() != 32 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)) {
    refuse(at, "wants a digest (32 hex digits) or nothing, not \"" + hex + "\"");
  }
  return Digest{hex};
}

template <class T>
void decode_map(const Json& json, const std::string& at, std::map<Digest, T>& map) {
  if (!json.is_object()) refuse(at, "wants an object");
  map.clear();
  for (const auto& [hex, entry] : json.items()) decode(entry, below(at, hex), map[decode_digest(hex, at)]);
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
  } else if constexpr (std::is_same_v<T, Digest>) {
    if (!json.is_string()) refuse(at, "wants a digest, not " + json.dump());
    value = decode_digest(json.get<std::string>(), at);
  } else if constexpr (requires { decode_list(json, at, value); }) {
    decode_list(json, at, value);
  } else if constexpr (requires { decode_map(json, at, value); }) {
    decode_map(json, at, value);
  } else {
    if (!json.is_object()) refuse(at, "wants an object");
    Read read{json, at, {}};
    describe(read, value);
    for (const auto& [key, unused] : json.items()) {
      if (!read.known.contains(key)) refuse(below(at, key), "is not a known key");
    }
  }
}

}  // namespace guda::jobs::codec
