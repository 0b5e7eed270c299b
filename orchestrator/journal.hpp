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

/// On disk; never renumber. A reader keeps records of a type that it does not know and skips them.
enum class RecordType : std::uint32_t {
  life = 1,  ///< the first record of every file
  commit = 2,
  failure = 3,    ///< an attempt failed; or, `forgiven`, a person wants the job tried again
  end = 4,        ///< the life ended by itself
  lease = 5,      ///< a job was handed to a worker; not fsynced by itself
  duplicate = 6,  ///< a second result of a job, compared with the committed one
  repair = 8,     ///< holes and damage that a person or a life took note of, and commits that must be done again
  fence = 9,      ///< a device or node gets no work any more, or gets it again
};

struct JournalRecord {
  RecordType type{};
  std::uint64_t sequence = 0;  ///< counts over all lives of a run, without holes
  Json body;
  std::uint32_t epoch = 0;  ///< life whose file holds it
};

/// What one commit says; body of a `commit` record.
struct Commit {
  Digest job;
  std::uint32_t attempt = 0;
  std::string worker, device;  ///< provenance
  double seconds = 0;          ///< device-seconds of the successful attempt
  RowsRef rows;
  Json metrics = Json::object();
  double time = 0;  ///< Unix time of the commit; 0 in runs of older versions
};
void to_json(Json& j, const Commit& commit);
void from_json(const Json& j, Commit& commit);

/// What reading found besides the records.
struct JournalDamage {
  std::filesystem::path file;
  std::uint64_t offset = 0;
  std::string what;
  bool torn_tail = false;  ///< last bytes of a file without a valid record behind them: the normal trace of a kill
  bool repaired = false;   ///< a repair record has taken note of it
};

/// Records `first`..`last` are not there.
struct SequenceHole {
  std::uint64_t first = 0, last = 0;
  std::filesystem::path file;  ///< of the record behind the hole
  bool repaired = false;
};

struct JournalContent {
  std::vector<JournalRecord> records;  ///< in sequence order
  std::vector<JournalRecord> stale;    ///< appended by a life after its successor had begun: never counted
  std::vector<JournalDamage> damage;
  std::vector<SequenceHole> holes;
  std::vector<std::uint32_t> missing_lives;
  std::uint32_t last_epoch = 0;  ///< highest epoch with a file; 0 = none
  std::uint64_t next_sequence = 0;

  /// Nothing is lost that had been there: torn tails, repaired damage and repaired holes do not count.
  [[nodiscard]] bool sound() const;
  /// One line for each thing that keeps it from being sound.
  [[nodiscard]] std::vector<std::string> faults() const;
};

enum class MissingLives { refuse, report };

/// File of a life.
[[nodiscard]] std::filesystem::path journal_file(const std::filesystem::path& folder, std::uint32_t epoch);

/// Number of the last life that has a file here; 0: none. Reads names only.
[[nodiscard]] std::uint32_t last_epoch(const std::filesystem::path& folder);

/// Reads all lives; safe while a writer appends. Torn tails are skipped; damage in the middle is reported and the valid
/// records behind it are kept (resynchronised on the record magic). A wrong version throws Error, a missing life too
/// unless it is only to be reported. Memory: bounded by the size of the files, whatever a length in them says.
[[nodiscard]] JournalContent read_journal(const std::filesystem::path& folder,
                                          MissingLives missing = MissingLives::refuse);

/// Bodies of the repair records that take note of everything in `content` that is not repaired yet; `lost`: jobs whose
/// commit no longer counts (their rows can't be read). None when there is nothing to note.
[[nodiscard]] std::vector<Json> repair_bodies(const JournalContent& content, const std::vector<Digest>& lost,
                                              const std::string& by);

/// Appends records of one life. add() buffers, sync() makes everything added so far durable with one fdatasync.
/// After a failed write or sync every later call throws Bug: a retried fsync may report success for lost pages.
class JournalWriter {
 public:
  /// Creates journal/<epoch>.bin durably; throws IoError when it exists (another owner took this epoch).
  JournalWriter(const std::filesystem::path& folder, std::uint32_t epoch, std::uint64_t first_sequence);
  void add(RecordType type, const Json& body);
  /// Hands what was added to the operating system: it survives the death of this process, not of the machine.
  void write();
  void sync();
  [[nodiscard]] std::uint32_t epoch() const { return epoch_; }

 private:
  std::filesystem::path file_;
  std::uint32_t epoch_;
  Fd fd_;
  std::uint64_t sequence_;
  std::string buffer_;
  bool unsynced_ = false, failed_ = false;
};

}  // namespace guda::orchestrator
