#pragma once
// A job that is taken back while it runs, and tried again.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/digest.hpp"
#include "tests/support/scratch_folder.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::test {

/// Its checkpoints: none by the clock, so that what is on disk was saved when the job was handed back.
class HandedBack {
 public:
  /// Of the next attempt.
  worker::JobCheckpoints& attempt() {
    return attempt_.emplace(worker::JobCheckpointsConfig{folder_ / "job.checkpoints",
                                                         digest_of("job"),
                                                         {.every = 1e9},
                                                         "here",
                                                         [] { return 0.0; },
                                                         [](const std::string&) {}});
  }
  worker::JobCheckpoints& last() { return *attempt_; }
  /// Takes the job back at this step of its progress.
  [[nodiscard]] static std::function<void(const worker::Progress&)> until(std::uint64_t step) {
    return [step](const worker::Progress& p) {
      if (p.step >= step) throw worker::Cancelled{};
    };
  }

 private:
  ScratchFolder folder_;
  std::optional<worker::JobCheckpoints> attempt_;
};

}  // namespace guda::test
