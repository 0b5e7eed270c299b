#include "common/digest.hpp"

#include <xxhash.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "common/error.hpp"

namespace guda {
namespace {

Digest to_digest(XXH128_hash_t h) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(h.high64),
                static_cast<unsigned long long>(h.low64));
  return Digest{text};
}

}  // namespace

Digest digest_of(std::string_view bytes) { return to_digest(XXH3_128bits(bytes.data(), bytes.size())); }

Digest digest_of(std::span<const std::uint8_t> bytes) { return to_digest(XXH3_128bits(bytes.data(), bytes.size())); }

Digest digest_of_file(const std::filesystem::path& file) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.c_str(), "rb"), &std::fclose);
  if (!in) throw IoError("cannot read " + file.string());
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> buffer(1 << 20);
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), in.get())) {
    XXH3_128bits_update(state.get(), buffer.data(), n);
  }
  if (std::ferror(in.get())) throw IoError("reading " + file.string() + " failed");
  return to_digest(XXH3_128bits_digest(state.get()));
}

SeedPath SeedPath::operator/(std::string_view name) const {
  SeedPath child = *this;
  child.text_ += '/';
  child.text_ += name;
  return child;
}

std::uint64_t SeedPath::value() const { return XXH3_64bits(text_.data(), text_.size()); }

std::uint64_t query_id(std::string_view query_name) { return XXH3_64bits(query_name.data(), query_name.size()); }

}  // namespace guda
