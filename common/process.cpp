#include "common/process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>

#include "common/error.hpp"
#include "common/files.hpp"

extern char** environ;

namespace guda {

pid_t spawn(const SpawnOptions& options) {
  // Everything that allocates happens before fork: between fork and exec only async-signal-safe calls.
  std::vector<char*> argv;
  for (const auto& a : options.arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> extra;
  for (const auto& [name, value] : options.environment) extra.push_back(name + "=" + value);
  std::vector<char*> env;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view entry(*e);
    bool replaced = false;
    for (const auto& [name, value] : options.environment) {
      replaced = replaced || (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=');
    }
    if (!replaced) env.push_back(*e);
  }
  for (auto& e : extra) env.push_back(e.data());
  env.push_back(nullptr);
  Fd output;
  if (!options.output.empty()) output = open_file(options.output, O_WRONLY | O_CREAT | O_APPEND);
  int status_pipe[2];
  if (::pipe2(status_pipe, O_CLOEXEC) != 0) throw Error(std::string("pipe failed: ") + std::strerror(errno));
  const Fd read_end(status_pipe[0]);
  Fd write_end(status_pipe[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw Error(std::string("fork failed: ") + std::strerror(errno));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // the parent died before prctl
    if (options.new_group) ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int s : {SIGINT, SIGTERM, SIGUSR2, SIGPIPE}) ::signal(s, SIG_DFL);
    if (options.ignore_usr2) ::signal(SIGUSR2, SIG_IGN);
    if (output) {
      ::dup2(output.get(), 1);
      ::dup2(output.get(), 2);
    }
    if (options.inherit_fd >= 0) {
      if (options.inherit_fd == 3) {
        ::fcntl(3, F_SETFD, 0);
      } else {
        if (write_end.get() == 3) {  // keep the error pipe out of the way
          const int moved = ::fcntl(write_end.get(), F_DUPFD_CLOEXEC, 10);
          write_end.release();
          write_end = Fd(moved);
        }
        ::dup2(options.inherit_fd, 3);
      }
    }
    ::execvpe(argv[0], argv.data(), env.data());
    const int code = errno;
    static_cast<void>(!::write(write_end.get(), &code, sizeof code));
    ::_exit(127);
  }
  write_end = Fd();
  int code = 0;
  ssize_t n = 0;
  do {
    n = ::read(read_end.get(), &code, sizeof code);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof code) {
    ::waitpid(pid, nullptr, 0);
    throw Error("cannot start " + options.arguments.front() + ": " + std::strerror(code));
  }
  return pid;
}

namespace {

/// Field `index` (1-based, as in proc(5)) of /proc/<pid>/stat, counted behind the parenthesised name.
std::string stat_field(pid_t pid, int index) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return "";
  const std::size_t close = line.rfind(')');
  if (close == std::string::npos) return "";
  std::size_t at = close + 2;
  for (int field = 3; field < index; ++field) {
    at = line.find(' ', at);
    if (at == std::string::npos) return "";
    ++at;
  }
  return line.substr(at, line.find(' ', at) - at);
}

}  // namespace

std::uint64_t process_start_time(pid_t pid) {
  if (stat_field(pid, 3) == "Z") return 0;
  const std::string ticks = stat_field(pid, 22);
  return ticks.empty() ? 0 : std::stoull(ticks);
}

std::string process_name(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(in, name);
  return name;
}

int process_user(pid_t pid) {
  struct stat info{};
  return ::stat(("/proc/" + std::to_string(pid)).c_str(), &info) == 0 ? static_cast<int>(info.st_uid) : -1;
}

char process_state(pid_t pid) {
  const std::string state = stat_field(pid, 3);
  return state.empty() ? '\0' : state.front();
}

std::uint64_t process_cpu_ticks(pid_t pid) {
  const std::string user = stat_field(pid, 14), system = stat_field(pid, 15);
  return user.empty() || system.empty() ? 0 : std::stoull(user) + std::stoull(system);
}

void die_with_parent() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

std::string boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::filesystem::path executable_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

std::string describe_wait_status(int status) {
  if (WIFEXITED(status)) return "exited with " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) {
    return "killed by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
  }
  return "ended with wait status " + std::to_string(status);
}

std::vector<pid_t> descendants(pid_t root) {
  std::multimap<pid_t, pid_t> children;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    const std::string parent = stat_field(pid, 4);
    if (!parent.empty() && stat_field(pid, 3) != "Z") children.emplace(static_cast<pid_t>(std::stol(parent)), pid);
  }
  std::vector<pid_t> found{root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [begin, end] = children.equal_range(found[i]);
    for (auto it = begin; it != end; ++it) found.push_back(it->second);
  }
  found.erase(found.begin());
  return {found.rbegin(), found.rend()};
}

}  // namespace guda
