#pragma once
// The checkpoints of one job: <artifact>.checkpoints/, shared by all workers that ever try the job. A retry goes on
// from the newest good one, bit for bit as if it had never been interrupted (on the CPU, and wherever the kernels
// repeat).
#include <c10/core/Device.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "worker/execute.hpp"
#include "worker/training/checkpoint_file.hpp"
#include "worker/training/checkpoint_rule.hpp"

namespace guda::worker {

/// Checkpoints that are kept: the newest, and the one before it should the newest prove bad.
inline constexpr std::size_t kCheckpointsKept = 2;
/// Attempts that may begin from a checkpoint without reaching the next one.
inline constexpr std::size_t kTriesPerCheckpoint = 2;

/// Appends the parameters and buffers of a model, as "model.<name>".
void append_state(const torch::nn::Module& model, NamedTensors& state);

struct JobCheckpointsConfig {
  std::filesystem::path folder;  ///< made when the first checkpoint is saved
  Digest job;
  CheckpointRule rule;
  std::string worker;
  std::function<double()> clock;                ///< s, never going back
  std::function<void(const std::string&)> log;  ///< one line for the worker's log
  bool beside = false;                          ///< write beside the loop, as always on a GPU
};

/// One attempt at a job: resume() once before the loop, finished_step() after every step. One thread.
class JobCheckpoints {
 public:
  /// The clock of the job begins.
  explicit JobCheckpoints(JobCheckpointsConfig config);

  /// Fills `state`, and torch's generators of the CPU and of `device`, from the newest good checkpoint; returns the
  /// steps that are done, 0 when there is none. Damaged and foreign ones are set aside as *.damaged, one that was begun
  /// from twice without a newer one after it is removed, each with a log line. This try is counted, durably, before it
  /// returns.
  [[nodiscard]] std::uint64_t resume(NamedTensors state, std::uint64_t steps, c10::Device device);

  /// Saves the state when it is due (on a GPU from a copy, in a thread that writes while the loop goes on; one at a
  /// time), then calls `progress` with the seconds to the next checkpoint filled in. When that
  /// throws Cancelled, saves what is new and lets it pass. A checkpoint that can't be written is a log line, not a
  /// failure.
  void finished_step(Progress done, const std::function<void(const Progress&)>& progress);

  /// The job is being handed back in the middle of a step, when `step` steps were done and the state is still theirs:
  /// saves what is new.
  void hand_back(std::uint64_t step);

  /// Removes the folder: the artifact has been published.
  void remove() noexcept;

  /// Instead of remove(), for a job whose rows are lost with its worker until they are committed: saves the end, step
  /// `steps`, where something was saved before.
  void keep_end(std::uint64_t steps);

  [[nodiscard]] std::uint64_t resumed_from() const noexcept { return resumed_from_; }
  [[nodiscard]] double earlier_seconds() const noexcept {
    return earlier_seconds_;
  }  ///< of the attempts before this one
  [[nodiscard]] std::uint64_t saved() const noexcept { return saved_; }
  [[nodiscard]] double saving_seconds() const noexcept { return saving_seconds_; }

 private:
  [[nodiscard]] std::filesystem::path file_of(std::uint64_t step) const;
  [[nodiscard]] std::vector<std::uint64_t> steps_on_disk() const;  ///< newest first
  [[nodiscard]] double due_in(std::uint64_t step) const;           ///< s; negative: overdue
  void save(std::uint64_t step);
  /// What became of writing a checkpoint; `why` empty: it is there.
  struct Written {
    std::string why;
    double seconds = 0;
  };
  /// Any thread: of this object it only reads the config.
  [[nodiscard]] Written write(const CheckpointHead& head, const NamedTensors& state) const;
  void take_note(std::uint64_t step, const Written& written);
  /// Waits for the thread that writes, if there is one.
  void settle();
  void prune() const;
  void forgive_this_try() const;
  void say(const std::string& line) const;

  JobCheckpointsConfig config_;
  NamedTensors state_;
  std::vector<std::pair<c10::Device, std::size_t>> generators_;  ///< whose state lies where in state_
  bool beside_ = false;
  std::future<Written> writing_;
  std::uint64_t writing_step_ = 0;
  std::uint64_t steps_ = 0, resumed_from_ = 0, saved_step_ = 0, saved_ = 0;
  double began_ = 0, last_save_ = 0, earlier_seconds_ = 0, write_seconds_ = 0, saving_seconds_ = 0;
};

}  // namespace guda::worker
