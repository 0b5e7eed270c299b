#include "common/capture.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/process.hpp"

namespace guda {
namespace {

constexpr std::size_t kMost = 1 << 20;

}  // namespace

Captured capture(const std::vector<std::string>& arguments, double seconds) {
  std::vector<char*> argv;
  for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  int pair[2], failure[2];
  if (::pipe2(pair, O_CLOEXEC) != 0) throw Error(std::string("pipe failed: ") + std::strerror(errno));
  const Fd ours(pair[0]);
  Fd theirs(pair[1]);
  if (::pipe2(failure, O_CLOEXEC) != 0) throw Error(std::string("pipe failed: ") + std::strerror(errno));
  const Fd failed(failure[0]);
  Fd fails(failure[1]);
  const pid_t pid = ::fork();
  if (pid < 0) throw Error(std::string("fork failed: ") + std::strerror(errno));
  if (pid == 0) {
    ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(theirs.get(), 1);
    ::dup2(theirs.get(), 2);
    ::execvp(argv[0], argv.data());
    const int code = errno;
    static_cast<void>(!::write(fails.get(), &code, sizeof code));
    ::_exit(127);
  }
  theirs = Fd();
  fails = Fd();
  Captured result;
  const double until = steady_seconds() + seconds;
  for (bool open = true; open;) {
    pollfd entry{ours.get(), POLLIN, 0};
    const double left = until - steady_seconds();
    if (left <= 0) {
      result.timed_out = true;
      break;
    }
    if (::poll(&entry, 1, static_cast<int>(left * 1000) + 1) <= 0) continue;
    char buffer[4096];
    const ssize_t n = ::read(ours.get(), buffer, sizeof buffer);
    open = n > 0 || (n < 0 && errno == EINTR);
    if (n > 0 && result.output.size() < kMost) result.output.append(buffer, static_cast<std::size_t>(n));
  }
  // It may have closed its output and go on all the same: the limit holds for its end too.
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) != pid) {
    if (steady_seconds() >= until) {
      result.timed_out = true;
      ::kill(-pid, SIGKILL);
      ::waitpid(pid, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  int code = 0;
  if (::read(failed.get(), &code, sizeof code) == sizeof code)
    throw Error("cannot start " + arguments.front() + ": " + std::strerror(code));
  if (!result.timed_out && WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

std::string first_line_of(const std::vector<std::string>& arguments, double seconds) {
  const Captured c = capture(arguments, seconds);
  if (c.timed_out)
    throw Error(arguments.front() + " did not answer within " + std::to_string(static_cast<int>(seconds)) + " s");
  if (c.exit_code != 0) {
    throw Error(
        arguments.front() +
        (c.exit_code < 0 ? std::string(" was killed by a signal") : " exited with " + std::to_string(c.exit_code)) +
        (c.output.empty() ? "" : ": " + c.output.substr(0, 400)));
  }
  return c.output.substr(0, c.output.find('\n'));
}

std::string find_on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

}  // namespace guda
