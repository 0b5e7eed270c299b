// Whatever comes over the wire is one well-formed message or an Error; what is read can be written and read again.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string_view>

#include "common/frame.hpp"
#include "common/protocol.hpp"
#include "tests/fuzz/require.hpp"

using namespace guda;

namespace {

void one_message(std::string_view bytes) {
  try {
    const Message message = decode(bytes);
    const std::string again = encode(message);
    fuzz::require(encode(decode(again)) == again, "a message changes when it is sent on");
  } catch (const Error&) {
    // refused
  } catch (const Bug&) {
    // Metrics that were 16 KiB long grow beyond the limit when they are escaped: refused by the sender.
  }
}

void a_stream(std::string_view bytes) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return;
  bool sent = ::send(pair[0], bytes.data(), bytes.size(), MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size());
  ::close(pair[0]);
  FrameReader reader;
  while (sent && reader.fill(pair[1])) {
  }
  ::close(pair[1]);
  try {
    while (const auto frame = reader.next()) one_message(*frame);
  } catch (const Error&) {
    // a length that asks for too much
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  one_message(bytes);
  a_stream(bytes);
  return 0;
}
