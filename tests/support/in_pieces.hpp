#pragma once
// A training or unlearning loop in several attempts, each handed back after some step.
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::test {

using ProgressSink = std::function<void(const worker::Progress&)>;

/// Calls `attempt(progress, checkpoints)` once for every cut, stopped there, and once more to its end, which it
/// returns. In between, torch's generator is what another job would have left.
template <class Attempt>
auto in_pieces(const std::vector<std::uint64_t>& cuts, Attempt&& attempt) {
  const ScratchFolder folder;
  const auto open = [&] {
    return worker::JobCheckpoints({folder / "job.checkpoints", digest_of("job"), {}, "test", [] { return 0.0; }, {}});
  };
  std::uint64_t before = 0;
  for (const std::uint64_t cut : cuts) {
    worker::JobCheckpoints checkpoints = open();
    bool stopped = false;
    try {
      (void)attempt(
          [&](const worker::Progress& p) {
            if (p.step == cut) throw worker::Cancelled{};
          },
          checkpoints);
    } catch (const worker::Cancelled&) {
      stopped = true;
    }
    CHECK(stopped);
    CHECK(checkpoints.resumed_from() == before);
    before = cut;
    torch::manual_seed(1234 + cut);
  }
  worker::JobCheckpoints checkpoints = open();
  auto result = attempt(no_progress, checkpoints);
  CHECK(checkpoints.resumed_from() == before);
  return result;
}

}  // namespace guda::test
