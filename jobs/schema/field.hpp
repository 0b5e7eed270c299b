#pragma once
// What a key of the experiment file is: a Field. describe(visit, config) calls visit(Field, member) for every member of
// a section, in the order people read them. `config` may be const. Members are scalars, strings, paths, Json (model),
// lists of these or of structs, and nested structs. Every section has its file in this folder;
// jobs/experiment_schema.hpp is all of them.
#include <concepts>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "jobs/experiment.hpp"

namespace guda::jobs {

/// What a key means and what it may hold. Strings are literals.
struct Field {
  std::string_view key;
  std::string_view meaning = {};                         ///< one sentence for people
  double min = 0;                                        ///< numbers: smallest value...
  double max = std::numeric_limits<double>::infinity();  ///< ...and largest; integers also end with their type
  bool open = false;                                     ///< numbers: min and max themselves are not allowed
  std::string_view choices = {};                         ///< strings: "cosine|constant"
  std::string_view name_rule = {};                       ///< strings: characters allowed after the first one
  std::size_t name_length = 0;                           ///< strings: longest name
  bool starts_with_letter = false;                       ///< strings: names that become HDF5 and C identifiers
  std::string_view unit = {};
  std::string_view example = {};
  std::string_view by_default = {};   ///< says the default where the field's value does not
  bool younger = false;               ///< runs of older versions have no such key: absent in JSON means empty or 0
  std::string_view only_key = {};     ///< the key means something only when this sibling key...
  std::string_view only_values = {};  ///< ...has one of these values ("logo|random")
};

template <class T, class Config>
concept ConfigOf = std::same_as<std::remove_const_t<T>, Config>;

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;

/// Members that have a describe() of their own.
template <class T>
concept Section = std::is_class_v<T> && !kIsList<T> && !std::is_same_v<T, std::string> &&
                  !std::is_same_v<T, std::filesystem::path> && !std::is_same_v<T, Json>;

inline constexpr std::string_view kSetNameCharacters = "A-Za-z0-9_";
inline constexpr std::string_view kRunNameCharacters = "A-Za-z0-9_. -";

}  // namespace guda::jobs
