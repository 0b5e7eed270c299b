#pragma once
// What a run directory holds that nobody needs any more: found by one function, removed by another.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct Garbage {
  std::filesystem::path path;
  std::string why;
  std::uint64_t bytes = 0;  ///< that removing it frees
};

/// Halves of files and folders that a kill or a full disk left behind, artifacts set aside as damaged. Not while a run
/// is at work: its workers' halves are no garbage.
[[nodiscard]] std::vector<Garbage> find_leftovers(const RunLayout& run);

/// Leftovers, artifacts that no job of the plan makes, row segments that no commit points to, and what retention.keep
/// drops of artifacts whose users are all settled.
[[nodiscard]] std::vector<Garbage> find_garbage(const RunLayout& run, const jobs::Plan& plan,
                                                const JournalContent& journal, const std::vector<bool>& settled);

/// Throws IoError. A link to another run's artifact goes, the artifact stays.
void remove_garbage(const Garbage& item);

}  // namespace guda::orchestrator
