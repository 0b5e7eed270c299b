#pragma once
// A folder in CIFAR-10's binary layout, small enough for a test.
#include <cstdint>
#include <filesystem>
#include <string>

#include "common/files.hpp"
#include "common/random.hpp"

namespace guda::test {

inline constexpr std::size_t kCifarRecord = 3073;

/// A record whose pixels have a tint of the class, so that a model can tell classes apart.
inline std::string cifar_record(std::uint8_t label, std::uint64_t seed) {
  std::string record(1, static_cast<char>(label));
  for (std::uint64_t i = 0; i + 1 < kCifarRecord; ++i) {
    record += static_cast<char>(20 * label + random_bits(seed, i) % 50);
  }
  return record;
}

/// data_batch_1.bin and data_batch_2.bin with `items` records each, test_batch.bin with `held_out`, ten class names.
/// Labels take turns.
inline void write_small_cifar10(const std::filesystem::path& folder, std::uint32_t items, std::uint32_t held_out) {
  std::string names;
  for (const char* name : {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}) {
    names += std::string(name) + "\n";
  }
  replace_file(folder / "batches.meta.txt", names + "\n", false);
  std::uint64_t seed = 0;
  for (const auto& [file, count] :
       {std::pair{"data_batch_1.bin", items}, {"data_batch_2.bin", items}, {"test_batch.bin", held_out}}) {
    std::string bytes;
    for (std::uint32_t i = 0; i < count; ++i) bytes += cifar_record(static_cast<std::uint8_t>(i % 10), ++seed);
    replace_file(folder / file, bytes, false);
  }
}

}  // namespace guda::test
