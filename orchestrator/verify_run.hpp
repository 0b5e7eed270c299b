#pragma once
// Is everything there that the journal says is there? Reads a run directory whole and compares; repairs on request.
#include <cstdint>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/run_lock.hpp"

namespace guda::orchestrator {

struct Finding {
  enum class Kind { fault, note } kind = Kind::fault;  ///< a note is worth knowing and needs nobody
  std::string area;                                    ///< plan | journal | rows | artifacts | results | leftovers
  std::string text;
};

struct Verification {
  std::vector<Finding> findings;
  std::uint64_t lives = 0, records = 0, commits = 0, row_records = 0, artifacts = 0, bytes = 0;
  [[nodiscard]] bool sound() const;
};
void to_json(Json& j, const Verification& verification);

/// Checks plan, journal, rows, artifacts, results.h5 and leftovers. Reads only. `live`: a run is at work, so that what
/// is newer than the journal that was read is no fault. Never throws for what it finds; IoError when the disk can't be
/// read.
[[nodiscard]] Verification verify_run(const RunLayout& run, bool live);

/// What repair did, one line each.
/// Sets damaged artifacts aside, notes holes and damage in a journal file of its own, calls commits lost whose rows or
/// artifacts can't be read (the next guda run does them again), makes results.h5 anew, removes leftovers. Destroys no
/// byte of the journal. Throws Error for what it can't mend: a foreign plan, a journal of another version.
[[nodiscard]] std::vector<std::string> repair_run(const RunLayout& run, RunLock& lock);

}  // namespace guda::orchestrator
