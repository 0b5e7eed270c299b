#pragma once
// Content names: XXH3-128 in lower-case hex. Equal digest of a job means equal bytes of its result (docs/formats.md).
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace guda {

/// 32 lower-case hex digits; a default-constructed Digest is empty and names nothing.
struct Digest {
  std::string hex;
  auto operator<=>(const Digest&) const = default;
  [[nodiscard]] bool empty() const noexcept { return hex.empty(); }
  [[nodiscard]] std::string brief() const { return hex.substr(0, 10); }
};

[[nodiscard]] Digest digest_of(std::string_view bytes);
[[nodiscard]] Digest digest_of(std::span<const std::uint8_t> bytes);
/// Streams the file; throws IoError when it can't be read.
[[nodiscard]] Digest digest_of_file(const std::filesystem::path& file);

/// Digest of bytes that come in pieces.
class DigestStream {
 public:
  DigestStream();
  void add(std::string_view bytes);
  [[nodiscard]] Digest digest() const;

 private:
  struct Forget {
    void operator()(void* state) const noexcept;
  };
  std::unique_ptr<void, Forget> state_;
};

/// 64-bit seed from a path of names: SeedPath(7)/"train"/"init". Equal paths give equal seeds on any rank and attempt.
class SeedPath {
 public:
  explicit SeedPath(std::uint64_t root) : text_(std::to_string(root)) {}
  [[nodiscard]] SeedPath operator/(std::string_view name) const;
  [[nodiscard]] std::uint64_t value() const;

 private:
  std::string text_;
};

/// Stable 64-bit id of a query name: the query part of the noise counter.
[[nodiscard]] std::uint64_t query_id(std::string_view query_name);

}  // namespace guda

template <>
struct std::hash<guda::Digest> {
  std::size_t operator()(const guda::Digest& d) const noexcept { return std::hash<std::string>{}(d.hex); }
};
