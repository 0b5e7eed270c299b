#pragma once
// rows/<epoch>-<rank>.seg: append-only records that a worker writes and fsyncs before it reports a job done.
// Record: RecordHeader (little endian), then rows*columns values. Frozen layout: docs/formats.md.
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "common/digest.hpp"
#include "common/files.hpp"
#include "common/protocol.hpp"

namespace guda {

enum class RowKind : std::uint32_t { losses = 1, scores = 2 };  // on disk; never renumber

struct RowRecordHeader {
  std::uint32_t magic = 0x574f5247;  // "GROW"
  std::uint32_t version = 1;
  RowKind kind{};
  std::uint32_t rows = 0, columns = 0;
  std::uint32_t payload_crc = 0;
  std::array<char, 32> job{};  ///< digest in hex
};
static_assert(sizeof(RowRecordHeader) == 56);

/// One job's table as read back; exactly one vector is filled.
struct RowRecord {
  Digest job;
  std::uint32_t rows = 0, columns = 0;
  std::vector<float> losses;
  std::vector<double> scores;
};

/// Appends to a worker's segment. One writer per file; a torn tail of a killed writer is skipped by starting a new file
/// name per life, and unreferenced bytes are harmless: only offsets in the journal count.
class RowSegmentWriter {
 public:
  explicit RowSegmentWriter(const std::filesystem::path& file);
  /// Appends, fsyncs, and says where the record lies. Throws IoError (disk full, failed sync): nothing is referenced,
  /// what was written is cut off again, and the next append opens the file anew.
  [[nodiscard]] RowsRef append(const Digest& job, std::uint32_t rows, std::uint32_t columns,
                               std::span<const float> losses);
  [[nodiscard]] RowsRef append(const Digest& job, std::uint32_t rows, std::uint32_t columns,
                               std::span<const double> scores);

 private:
  RowsRef append_record(RowKind kind, const Digest& job, std::uint32_t rows, std::uint32_t columns,
                        std::span<const std::byte> payload);

  std::filesystem::path file_;
  Fd fd_;
};

/// Reads and verifies the record. Throws IoError when it is missing, short or damaged (on a network file system:
/// retry).
[[nodiscard]] RowRecord read_row_record(const std::filesystem::path& rows_folder, const RowsRef& where);

}  // namespace guda
