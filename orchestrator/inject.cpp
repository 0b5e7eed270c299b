#include "orchestrator/inject.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "common/files.hpp"

namespace guda::orchestrator {

void inject(CoordinatorFault fault, const std::filesystem::path& journal, std::uint32_t epoch) {
  if (fault == CoordinatorFault::none) return;
  if (fault == CoordinatorFault::torn) {
    // The head of a record that announces more bytes than follow.
    const std::filesystem::path file = journal / fmt::format("{:04}.bin", epoch);
    const Fd fd = open_file(file, O_WRONLY | O_APPEND);
    write_all(fd.get(), std::string("JREC\x40\0\0\0\x01\0\0\0", 12), file);
  }
  ::kill(::getpid(), SIGKILL);
}

}  // namespace guda::orchestrator
