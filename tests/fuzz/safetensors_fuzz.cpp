// Whatever a weight file holds: tensors whose bytes can all be read, or an Error. An input that begins with 'F' gets
// the right header length in front, so that the header itself is what changes.
#include <cstdint>
#include <cstring>
#include <string>

#include "common/error.hpp"
#include "common/safetensors.hpp"
#include "tests/fuzz/require.hpp"
#include "tests/fuzz/scratch_file.hpp"

using namespace guda;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchFiles scratch;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] == 'F') {
    const std::size_t end = bytes.rfind('}');
    const std::uint64_t length = end == std::string::npos ? size - 1 : end;
    bytes.replace(0, 1, std::string(reinterpret_cast<const char*>(&length), 8));
  }
  const auto path = scratch.write("model.safetensors", bytes);
  try {
    const SafetensorsFile file(path);
    volatile unsigned sum = 0;  // every byte is touched
    for (const auto& [name, entry] : file.tensors()) {
      const auto values = file.bytes(name);
      fuzz::require(values.size() <= bytes.size(), "a tensor is larger than its file");
      for (const std::byte b : values) sum = sum + static_cast<unsigned>(b);
    }
  } catch (const Error&) {
    // refused
  }
  return 0;
}
