// Speaks a worker's protocol without computing anything: what the number of a job says is what happens to it.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <string>

#include "common/frame.hpp"
#include "common/protocol.hpp"

int main(int argc, char** argv) {
  using namespace guda;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "no-start.seg") == 0) return 2;
  }
  constexpr int kFd = 3;
  FrameReader reader;
  const auto say = [](const Message& m) { static_cast<void>(write_frame(kFd, encode(m))); };
  say(message::Ready{});
  Lease held;
  std::atomic<unsigned long> spin = 0;
  bool sick = false;  // its device context has a sticky error
  while (true) {
    pollfd entry{kFd, POLLIN, 0};
    ::poll(&entry, 1, 20);
    if (entry.revents != 0 && !reader.fill(kFd)) return 0;
    while (const auto frame = reader.next()) {
      const Message m = decode(*frame);
      if (const auto* cancel = std::get_if<message::Cancel>(&m)) {
        if (held.job == 4) continue;  // deaf
        say(message::Returned{cancel->lease});
        held = {};
      }
      const auto* assign = std::get_if<message::Assign>(&m);
      if (!assign) continue;
      held = assign->lease;
      sick = sick || held.job == 8;
      if (sick) {
        say(message::Failed{held, ErrorClass::device, "an illegal memory access was encountered"});
        continue;
      }
      switch (held.job) {
        case 0:
          say(message::Done{held, 0.1, {}, Json::object()});
          break;
        case 1:
          ::raise(SIGSEGV);
          break;
        case 9: {
          const GangSeat seat = assign->seat.value_or(GangSeat{});
          say(message::Failed{held, ErrorClass::bug,
                              seat.memory + " " + std::to_string(seat.rank) + " " + std::to_string(seat.size)});
          break;
        }
        case 2:
          ::raise(SIGSTOP);
          break;
        case 5:
          ::raise(SIGKILL);
          break;
        case 6:
          ::pause();
          break;  // deadlocked: not stopped, but uses no CPU time and says nothing
        case 7:
          while (true) spin = spin + 1;  // computes without a word
        default:
          break;  // 3, 4: works on until cancelled
      }
    }
    if (held.job == 3 || held.job == 4) say(message::Beat{true, held, ++spin, 1000, 0.5, 0, 0});
  }
}
