#pragma once
// Reads a config.json of diffusers key by key and collects what is wrong instead of stopping at it. No torch here.
#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::worker {

/// Dimensions beyond these are refused: a file must not make us allocate without bound.
inline constexpr std::uint32_t kMaxChannels = 8192, kMaxLayers = 64, kMaxBlocks = 8, kMaxImage = 16384,
                               kMaxClasses = 1U << 20;

/// Every reading function leaves `out` alone when the key is absent, and adds a fault when its value is not what the
/// function takes. `json` must outlive the reader.
class ConfigReader {
 public:
  explicit ConfigReader(const Json& json) : json_(json) {}

  void fault(const std::string& key, const std::string& what) { faults_.push_back(key + ": " + what); }
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }

  /// Faults when "_class_name" is there and another.
  void class_name(const char* name);
  void flag(const char* key, bool& out);
  /// Whole numbers from `low` to `high`; an optional one may be null.
  void count(const char* key, std::uint32_t& out, std::uint32_t low, std::uint32_t high);
  void count(const char* key, std::optional<std::uint32_t>& out, std::uint32_t low, std::uint32_t high);
  /// A list of them.
  void counts(const char* key, std::vector<std::uint32_t>& out, std::uint32_t low, std::uint32_t high);
  /// One number for all, or a list.
  void count_or_counts(const char* key, std::vector<std::uint32_t>& out, std::uint32_t low, std::uint32_t high);
  void number(const char* key, double& out, double low, double high);
  void choice(const char* key, std::string& out, std::initializer_list<const char*> known);
  void choice(const char* key, std::optional<std::string>& out, std::initializer_list<const char*> known);
  void choices(const char* key, std::vector<std::string>& out, std::initializer_list<const char*> known);
  /// A size, a pair [height, width], or null.
  void image_size(const char* key, std::optional<std::array<std::uint32_t, 2>>& out);
  /// The only value that we can compute: anything else is a fault.
  void only(const char* key, const Json& value);
  /// The value of a key that is there.
  void with(const char* key, const std::function<void(const Json&)>& read);
  /// Call last: every key that no call above has asked for is a fault.
  void refuse_other_keys(const char* model);

 private:
  bool read_count(const char* key, const Json& v, std::uint32_t& out, std::uint32_t low, std::uint32_t high);
  bool read_choice(const char* key, const Json& v, std::string& out, std::initializer_list<const char*> known);
  bool is_list(const char* key, const Json& v);

  const Json& json_;
  std::vector<std::string> faults_;
  std::vector<std::string> known_;
};

/// null where there is none.
template <class T>
[[nodiscard]] Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace guda::worker
