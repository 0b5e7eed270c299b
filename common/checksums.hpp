#pragma once
// checksums.json inside a published folder: size and XXH3-128 of every file, so that an artifact can be verified by
// whoever finds it, years later or in another run. Frozen layout: docs/formats.md.
#include <filesystem>
#include <string>
#include <vector>

namespace guda {

inline constexpr const char* kChecksumsFile = "checksums.json";

/// Writes checksums.json over every regular file below `folder`. Throws IoError.
void write_checksums(const std::filesystem::path& folder);

/// What is wrong with the files below `folder`, one sentence each: missing, other size, other content, not listed.
/// Empty when everything is as it was published. A folder without checksums.json has nothing to compare with: one
/// sentence.
[[nodiscard]] std::vector<std::string> check_checksums(const std::filesystem::path& folder);

}  // namespace guda
