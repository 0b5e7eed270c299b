#include "cluster/agent/worker_process.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "cluster/agent/oom_kills.hpp"
#include "common/error.hpp"
#include "common/process.hpp"

namespace guda::cluster {

WorkerProcess::WorkerProcess(const WorkerCommand& command) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    throw IoError(std::string("socketpair: ") + std::strerror(errno));
  socket_ = Fd(pair[0]);
  const Fd theirs(pair[1]);
  SpawnOptions options;
  options.arguments = {command.program.string(),
                       "serve",
                       "--run-dir",
                       command.run_folder.string(),
                       "--segment",
                       command.segment,
                       "--fd",
                       "3",
                       "--threads",
                       std::to_string(command.threads)};
  if (command.neighbours > 1)
    options.arguments.insert(options.arguments.end(), {"--neighbours", std::to_string(command.neighbours)});
  if (!command.name.empty()) options.arguments.insert(options.arguments.end(), {"--name", command.name});
  if (!command.chaos.empty()) options.arguments.insert(options.arguments.end(), {"--chaos", command.chaos});
  if (command.checkpoint_every > 0) {
    options.arguments.insert(options.arguments.end(), {"--checkpoint-every", std::to_string(command.checkpoint_every)});
  }
  options.environment = {{"OMP_NUM_THREADS", std::to_string(command.threads)},
                         {"MKL_NUM_THREADS", std::to_string(command.threads)}};
  options.environment.insert(options.environment.end(), command.environment.begin(), command.environment.end());
  options.inherit_fd = theirs.get();
  options.output = command.log;
  options.ignore_usr2 = true;  // mpirun forwards a planned stop to whole process groups; the agent tells the worker
  oom_kills_before_ = oom_kills();
  pid_ = spawn(options);
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0 && !exit_text_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

bool WorkerProcess::send(const Message& message) { return write_frame(socket_.get(), encode(message)); }

std::optional<Message> WorkerProcess::receive() {
  auto frame = reader_.next();
  if (!frame) {
    static_cast<void>(reader_.fill(socket_.get()));  // the end of the stream shows as an exit
    frame = reader_.next();
  }
  if (!frame) return std::nullopt;
  return decode(*frame);
}

std::optional<std::string> WorkerProcess::exit_text() {
  if (exit_text_) return exit_text_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  exit_text_ = describe_wait_status(status);
  out_of_memory_ =
      WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !killed_by_us_ && oom_kills() > oom_kills_before_;
  return exit_text_;
}

std::uint64_t WorkerProcess::cpu_ticks() const { return process_cpu_ticks(pid_); }

void WorkerProcess::signal(int number) {
  if (exit_text_) return;
  killed_by_us_ = killed_by_us_ || number == SIGKILL;
  ::kill(pid_, number);
}

}  // namespace guda::cluster
