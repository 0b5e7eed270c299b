#pragma once
// The agent's child: a guda-worker behind a socketpair. It may crash, freeze or be killed; it is replaced.
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/files.hpp"
#include "common/frame.hpp"
#include "common/protocol.hpp"

namespace guda::cluster {

struct WorkerCommand {
  std::filesystem::path program;  ///< guda-worker
  std::filesystem::path run_folder;
  std::string segment;          ///< file name under rows/
  std::string name;             ///< of the worker, in checkpoints and logs
  double checkpoint_every = 0;  ///< s between checkpoints; 0: the worker's rule
  std::string chaos;            ///< `--chaos`, for faults that only the worker itself can have
  std::uint32_t threads = 1;
  std::uint32_t neighbours = 1;  ///< workers of the run on this node, which share its memory
  std::filesystem::path log;
  std::vector<std::pair<std::string, std::string>> environment;  ///< added: which GPU
};

class WorkerProcess {
 public:
  explicit WorkerProcess(const WorkerCommand& command);
  ~WorkerProcess();  ///< kills and reaps
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  [[nodiscard]] int fd() const { return socket_.get(); }
  /// False when the worker is gone; exit_text() will say why.
  [[nodiscard]] bool send(const Message& message);
  /// Next message, nothing when there is none now.
  [[nodiscard]] std::optional<Message> receive();
  /// How it ended, once it has (never blocks).
  [[nodiscard]] std::optional<std::string> exit_text();
  /// Once it has ended: by the kernel for want of memory, as far as that can be told.
  [[nodiscard]] bool out_of_memory() const { return out_of_memory_; }
  /// CPU time used so far, in clock ticks: what a frozen process no longer does.
  [[nodiscard]] std::uint64_t cpu_ticks() const;
  void signal(int number);

 private:
  Fd socket_;
  FrameReader reader_;
  pid_t pid_ = -1;
  std::optional<std::string> exit_text_;
  std::uint64_t oom_kills_before_ = 0;
  bool killed_by_us_ = false, out_of_memory_ = false;
};

}  // namespace guda::cluster
