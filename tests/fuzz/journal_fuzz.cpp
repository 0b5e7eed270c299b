// Whatever a journal file holds: records, or damage that is reported. The first byte chooses between the bytes as they
// are and bodies for which right headers are made, so that what is behind the CRC is reached, too.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "common/crc.hpp"
#include "common/error.hpp"
#include "common/row_segment.hpp"
#include "orchestrator/job_story.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/run_store.hpp"
#include "tests/fuzz/require.hpp"
#include "tests/fuzz/scratch_file.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

/// A file header of life 1.
std::string header() { return std::string("GUDAJRNL\x01\0\0\0\x01\0\0\0", 16); }

std::string record(std::uint64_t sequence, std::uint32_t type, std::string_view body) {
  std::string bytes(24, '\0');
  const auto length = static_cast<std::uint32_t>(body.size());
  std::memcpy(bytes.data(), "JREC", 4);
  std::memcpy(bytes.data() + 4, &length, 4);
  std::memcpy(bytes.data() + 8, &sequence, 8);
  std::memcpy(bytes.data() + 16, &type, 4);
  bytes += body;
  const std::uint32_t crc = crc32_of(std::as_bytes(std::span(bytes)));
  std::memcpy(bytes.data() + 20, &crc, 4);
  return bytes;
}

/// Lines of the input become bodies; the first character of a line chooses the type.
std::string framed(std::string_view text) {
  std::string bytes = header();
  std::uint64_t sequence = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty()) continue;
    bytes += record(sequence, static_cast<std::uint32_t>(line[0] - '0') % 12, line.substr(1));
    sequence += line[0] == '!' ? 3 : 1;
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchFiles scratch;
  static const jobs::Plan no_plan;
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  scratch.write("0001.bin", data[0] == 'F' ? framed(rest) : std::string(rest));
  try {
    const JournalContent content = read_journal(scratch.folder());
    fuzz::require(content.records.size() * 26 <= rest.size() + 24 * rest.size(), "more records than bytes");
    for (const JournalRecord& r : content.records)
      fuzz::require(r.sequence < content.next_sequence || r.sequence + 1 == 0, "next sequence is taken");
    static_cast<void>(content.faults());
    for (const auto& [job, commit] : commits_of(content)) {
      try {
        static_cast<void>(read_row_record(scratch.folder(), commit.rows));
      } catch (const Error&) {
        // such rows are not there
      }
    }
    static_cast<void>(quarantined_jobs(no_plan, content));
    for (const Json& body : repair_bodies(content, {}, "fuzz"))
      fuzz::require(body.dump().size() < 65536, "a repair that fits into no record");
  } catch (const Error&) {
    // another version
  }
  return 0;
}
