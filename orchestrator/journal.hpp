#pragma once
// The journal is the truth: journal/<epoch>.bin, one file per life, records with sequence number and CRC, group commit.
// Frozen layout: docs/formats.md. results.h5 and every count a person sees are views of it.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/digest.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/protocol.hpp"

namespace guda::orchestrator {

enum class RecordType : std::uint32_t { life = 1, commit = 2, failure = 3, end = 4, fence = 9 };  // on disk; never renumber

struct JournalRecord {
  RecordType type{};
  std::uint64_t sequence = 0;  ///< counts over all lives of a run, without holes
  Json body;
};

/// What one commit says; body of a `commit` record.
struct Commit {
  Digest job;
  std::uint32_t attempt = 0;
  std::string worker, device;   ///< provenance
  double seconds = 0;           ///< device-seconds of the successful attempt
  RowsRef rows;
  Json metrics = Json::object();
};
void to_json(Json& j, const Commit& commit);
void from_json(const Json& j, Commit& commit);

/// What reading found besides the records.
struct JournalDamage {
  std::filesystem::path file;
  std::uint64_t offset = 0;
  std::string what;
  bool torn_tail = false;  ///< last bytes of a file without a valid record behind them: the normal trace of a kill
};

struct JournalContent {
  std::vector<JournalRecord> records;  ///< in sequence order
  std::vector<JournalDamage> damage;
  std::uint32_t last_epoch = 0;        ///< highest epoch with a file; 0 = none
  std::uint64_t next_sequence = 0;
};

/// Reads all lives. Torn tails are skipped; damage in the middle is reported and the valid records behind it are kept
/// (resynchronised on the record magic). A wrong version or a missing epoch throws Error.
[[nodiscard]] JournalContent read_journal(const std::filesystem::path& folder);

/// Appends records of one life. add() buffers, sync() makes everything added so far durable with one fdatasync.
/// After a failed sync() the object must not be used again: a retried fsync may report success for lost pages.
class JournalWriter {
 public:
  /// Creates journal/<epoch>.bin; throws IoError when it exists (another owner took this epoch).
  JournalWriter(const std::filesystem::path& folder, std::uint32_t epoch, std::uint64_t first_sequence);
  void add(RecordType type, const Json& body);
  void sync();

 private:
  std::filesystem::path file_;
  Fd fd_;
  std::uint64_t sequence_;
  std::string buffer_;
};

}  // namespace guda::orchestrator
