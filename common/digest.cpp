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

DigestStream::DigestStream() : state_(XXH3_createState()) {
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_.get()));
}

void DigestStream::add(std::string_view bytes) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_.get()), bytes.data(), bytes.size());
}

Digest DigestStream::digest() const {
  return to_digest(XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_.get())));
}

void DigestStream::Forget::operator()(void* state) const noexcept { XXH3_freeState(static_cast<XXH3_state_t*>(state)); }

Digest digest_of_file(const std::filesystem::path& file) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.c_str(), "rb"), &std::fclose);
  if (!in) throw IoError("cannot read " + file.string());
  DigestStream stream;
  std::vector<char> buffer(1 << 20);
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), in.get())) stream.add({buffer.data(), n});
  if (std::ferror(in.get())) throw IoError("reading " + file.string() + " failed");
  return stream.digest();
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
