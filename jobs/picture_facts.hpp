#pragma once
// What is known of picture files without their pixels: a digest of the bytes, and whether they decode. Both are kept
// between programs, so that a folder of 24,000 pictures is read once and not by every worker.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace guda::jobs {

struct PictureFacts {
  std::string digest;  ///< of the file's bytes
  std::string damage;  ///< why it does not decode, with the file; empty: it does
  bool operator==(const PictureFacts&) const = default;
};

/// Facts of files, given relative to `folder`, in their order. Those that have the size, time and inode of the last
/// time are taken from the cache, the others are read and decoded on up to eight threads and remembered; a cache that
/// can't be written is no error. `read` gets how many were read. Throws IoError where a file can't be read.
[[nodiscard]] std::vector<PictureFacts> picture_facts(const std::filesystem::path& folder,
                                                      std::span<const std::filesystem::path> files,
                                                      std::size_t* read = nullptr);

/// The cache file of a folder: ${GUDA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/guda}/pictures/<digest of its path>.json.
[[nodiscard]] std::filesystem::path picture_facts_file(const std::filesystem::path& folder);

}  // namespace guda::jobs
