#include "orchestrator/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "common/crc.hpp"
#include "common/error.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::uint64_t kFileMagic = 0x4c4e524a41445547;  // "GUDAJRNL"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kRecordMagic = 0x4345524a;  // "JREC"
constexpr std::uint32_t kMaxBody = 64 * 1024;       // a corrupt length never makes us allocate more
constexpr std::size_t kEntriesPerRepair = 400;      // of about 100 bytes: far below kMaxBody
constexpr std::size_t kMaxMissing = 1000;           // a stray 999999999.bin is no life

struct FileHeader {
  std::uint64_t magic = kFileMagic;
  std::uint32_t version = kVersion;
  std::uint32_t epoch = 0;
};
static_assert(sizeof(FileHeader) == 16);

struct RecordHeader {
  std::uint32_t magic = kRecordMagic;
  std::uint32_t length = 0;  // of the body
  std::uint64_t sequence = 0;
  RecordType type{};
  std::uint32_t crc = 0;  // of this header with crc = 0, then the body
};
static_assert(sizeof(RecordHeader) == 24);

std::uint32_t record_crc(RecordHeader header, std::string_view body) {
  header.crc = 0;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += body;
  return crc32_of(std::as_bytes(std::span(bytes)));
}

/// The record that begins at `at`, if a whole and valid one does; `end`: the byte behind it.
std::optional<JournalRecord> record_at(std::string_view bytes, std::size_t at, std::uint32_t epoch, std::size_t& end) {
  RecordHeader header;
  if (at > bytes.size() || bytes.size() - at < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data() + at, sizeof header);
  if (header.magic != kRecordMagic || header.length > kMaxBody || bytes.size() - at - sizeof header < header.length)
    return std::nullopt;
  const std::string_view body = bytes.substr(at + sizeof header, header.length);
  if (record_crc(header, body) != header.crc) return std::nullopt;
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  end = at + sizeof header + header.length;
  return JournalRecord{header.type, header.sequence, std::move(json), epoch};
}

/// The first valid record at or behind `at`; npos when there is none.
std::size_t next_record(std::string_view bytes, std::size_t at, std::uint32_t epoch) {
  const std::string_view magic(reinterpret_cast<const char*>(&kRecordMagic), sizeof kRecordMagic);
  std::size_t end = 0;
  for (at = bytes.find(magic, at); at != std::string_view::npos; at = bytes.find(magic, at + 1)) {
    if (record_at(bytes, at, epoch, end)) return at;
  }
  return std::string_view::npos;
}

void check_header(std::string_view bytes, const std::filesystem::path& file, std::uint32_t epoch,
                  JournalContent& content) {
  FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kFileMagic) {
    content.damage.push_back({file, 0, "not a journal header", false, false});
  } else if (header.version != kVersion) {
    // Another version has another record magic, too: valid records of ours behind it mean that the number is damaged.
    if (next_record(bytes, sizeof header, epoch) == std::string_view::npos) {
      throw Error(fmt::format("{}: journal version {} (this guda reads {}). Cure: use the guda that wrote it.",
                              file.string(), header.version, kVersion));
    }
    content.damage.push_back({file, 8, "damaged version number", false, false});
  } else if (header.epoch != epoch) {
    content.damage.push_back({file, 12, fmt::format("the header names life {}", header.epoch), false, false});
  }
}

/// Whether the fields that anybody reads have the types that they must have. A record with a valid CRC says otherwise
/// only when another program wrote it.
bool has_right_types(const Json& body) {
  for (const char* name : {"job", "label", "worker", "device", "node", "error", "text", "cure", "why", "verdict",
                           "detail", "by", "kind", "chaos"}) {
    if (body.contains(name) && !body[name].is_string()) return false;
  }
  for (const char* name : {"attempt", "epoch"}) {
    if (body.contains(name) && !body[name].is_number_unsigned()) return false;
  }
  for (const char* name : {"time", "seconds", "max_difference"}) {
    if (body.contains(name) && !body[name].is_number()) return false;
  }
  for (const char* name : {"quarantined", "forgiven", "fenced"}) {
    if (body.contains(name) && !body[name].is_boolean()) return false;
  }
  for (const char* name : {"lost", "holes", "damage"}) {
    if (body.contains(name) && !body[name].is_array()) return false;
  }
  return true;
}

bool is_readable(const JournalRecord& record) {
  if (!has_right_types(record.body)) return false;
  if (record.type != RecordType::commit) return true;
  try {
    static_cast<void>(record.body.get<Commit>());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

void read_life(const std::filesystem::path& file, std::uint32_t epoch, JournalContent& content) {
  const std::string bytes = read_file(file);
  if (bytes.size() < sizeof(FileHeader)) {
    // Killed between creating the file and its first sync: a life that committed nothing.
    content.damage.push_back({file, 0, "no header", true, false});
    return;
  }
  check_header(bytes, file, epoch, content);
  std::size_t at = sizeof(FileHeader);
  while (at < bytes.size()) {
    std::size_t end = 0;
    if (auto record = record_at(bytes, at, epoch, end)) {
      if (is_readable(*record)) content.records.push_back(std::move(*record));
      else content.damage.push_back({file, at, "a record that says nothing", false, false});
      at = end;
      continue;
    }
    const std::size_t next = next_record(bytes, at + 1, epoch);
    const bool found = next != std::string_view::npos;
    content.damage.push_back({file, at, found ? "damaged bytes before a valid record" : "torn tail", !found, false});
    if (!found) break;
    at = next;
  }
}

std::map<std::uint32_t, std::filesystem::path> life_files(const std::filesystem::path& folder) {
  std::map<std::uint32_t, std::filesystem::path> lives;
  if (!std::filesystem::exists(folder)) return lives;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() != ".bin" || stem.empty() || stem.size() > 9 ||
        !std::all_of(stem.begin(), stem.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    lives[static_cast<std::uint32_t>(std::stoul(stem))] = entry.path();
  }
  return lives;
}

/// A life that was frozen while its successor began may append once more when it wakes: its sequence numbers are taken.
void set_stale_aside(JournalContent& content) {
  std::vector<JournalRecord> kept;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max(), first = limit;
  std::uint32_t epoch = 0;
  for (auto record = content.records.rbegin(); record != content.records.rend(); ++record) {
    if (record->epoch != epoch) {
      limit = std::min(limit, first);
      epoch = record->epoch;
    }
    first = record->sequence;
    (record->sequence >= limit ? content.stale : kept).push_back(std::move(*record));
  }
  std::reverse(kept.begin(), kept.end());
  std::reverse(content.stale.begin(), content.stale.end());
  content.records = std::move(kept);
}

void find_holes(JournalContent& content, const std::filesystem::path& folder) {
  std::uint64_t expected = 0;
  for (const JournalRecord& record : content.records) {
    const auto file = journal_file(folder, record.epoch);
    if (record.sequence > expected) {
      content.holes.push_back({expected, record.sequence - 1, file, false});
      // Bytes torn off in front of a hole were a record that somebody had read: damage, not the trace of a kill.
      for (JournalDamage& d : content.damage) {
        if (d.torn_tail && d.what == "torn tail" && d.file == journal_file(folder, record.epoch - 1))
          d.torn_tail = false;
      }
    } else if (record.sequence < expected) {
      content.damage.push_back(
          {file, 0, fmt::format("record {} comes after record {}", record.sequence, expected - 1), false, false});
    }
    expected = std::max(expected, record.sequence + 1);
  }
  content.next_sequence = expected;
}

void apply_repairs(JournalContent& content) {
  for (const JournalRecord& record : content.records) {
    if (record.type != RecordType::repair) continue;
    try {
      for (const Json& hole : record.body.at("holes")) {
        for (SequenceHole& h : content.holes)
          h.repaired = h.repaired || (h.first == hole.at(0) && h.last == hole.at(1));
      }
      for (const Json& damage : record.body.at("damage")) {
        for (JournalDamage& d : content.damage) {
          d.repaired = d.repaired ||
                       (d.file.filename() == damage.at("file").get<std::string>() && d.offset == damage.at("offset"));
        }
      }
    } catch (const Json::exception&) {
      // A repair that can't be read repairs nothing: what it was about is reported again.
    }
  }
}

}  // namespace

void to_json(Json& j, const Commit& c) {
  j = {{"job", c.job.hex},     {"attempt", c.attempt}, {"worker", c.worker},   {"device", c.device},
       {"seconds", c.seconds}, {"rows", c.rows},       {"metrics", c.metrics}, {"time", c.time}};
}

void from_json(const Json& j, Commit& c) {
  c.job = Digest{j.at("job").get<std::string>()};
  j.at("attempt").get_to(c.attempt);
  j.at("worker").get_to(c.worker);
  j.at("device").get_to(c.device);
  j.at("seconds").get_to(c.seconds);
  j.at("rows").get_to(c.rows);
  c.metrics = j.at("metrics");
  c.time = j.value("time", 0.0);
}

bool JournalContent::sound() const { return faults().empty(); }

std::vector<std::string> JournalContent::faults() const {
  std::vector<std::string> lines;
  for (const std::uint32_t epoch : missing_lives)
    lines.push_back(fmt::format("the journal of life {} is missing", epoch));
  for (const JournalDamage& d : damage) {
    if (!d.torn_tail && !d.repaired)
      lines.push_back(fmt::format("{} at byte {}: {}", d.file.string(), d.offset, d.what));
  }
  for (const SequenceHole& h : holes) {
    if (!h.repaired)
      lines.push_back(fmt::format("{}: records {} to {} before it are lost", h.file.string(), h.first, h.last));
  }
  return lines;
}

std::filesystem::path journal_file(const std::filesystem::path& folder, std::uint32_t epoch) {
  return folder / fmt::format("{:04}.bin", epoch);
}

std::uint32_t last_epoch(const std::filesystem::path& folder) {
  const auto lives = life_files(folder);
  return lives.empty() ? 0 : lives.rbegin()->first;
}

JournalContent read_journal(const std::filesystem::path& folder, MissingLives missing) {
  JournalContent content;
  for (const auto& [epoch, file] : life_files(folder)) {
    for (std::uint32_t lost = content.last_epoch + 1; lost < epoch; ++lost) {
      if (missing == MissingLives::refuse) {
        throw Error(fmt::format(
            "{}: the journal of life {} is missing, so commits may be lost. Cure: restore the file, or guda verify "
            "--repair, which runs again what it had committed.",
            folder.string(), lost));
      }
      if (content.missing_lives.size() == kMaxMissing)
        throw Error(fmt::format("{}: a file of life {} is no journal of this run", folder.string(), epoch));
      content.missing_lives.push_back(lost);
    }
    read_life(file, epoch, content);
    content.last_epoch = epoch;
  }
  set_stale_aside(content);
  find_holes(content, folder);
  apply_repairs(content);
  return content;
}

std::vector<Json> repair_bodies(const JournalContent& content, const std::vector<Digest>& lost, const std::string& by) {
  const Json empty{{"by", by}, {"holes", Json::array()}, {"damage", Json::array()}, {"lost", Json::array()}};
  std::vector<Json> bodies;
  std::size_t entries = kEntriesPerRepair;
  const auto note = [&](const char* list, Json entry) {
    if (entries == kEntriesPerRepair) {
      bodies.push_back(empty);
      entries = 0;
    }
    bodies.back()[list].push_back(std::move(entry));
    ++entries;
  };
  for (const SequenceHole& h : content.holes) {
    if (!h.repaired) note("holes", Json::array({h.first, h.last}));
  }
  for (const JournalDamage& d : content.damage) {
    if (!d.torn_tail && !d.repaired)
      note("damage", {{"file", d.file.filename().string()}, {"offset", d.offset}, {"what", d.what}});
  }
  for (const Digest& job : lost) note("lost", job.hex);
  return bodies;
}

JournalWriter::JournalWriter(const std::filesystem::path& folder, std::uint32_t epoch, std::uint64_t first_sequence)
    : file_(journal_file(folder, epoch)), epoch_(epoch), sequence_(first_sequence) {
  make_directories(folder);
  fd_ = open_file(file_, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
  FileHeader header;
  header.epoch = epoch;
  buffer_.assign(reinterpret_cast<const char*>(&header), sizeof header);
  sync();
  sync_directory(folder);
}

void JournalWriter::add(RecordType type, const Json& body) {
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMaxBody) throw Bug("journal record larger than its bound");
  RecordHeader header;
  header.length = static_cast<std::uint32_t>(text.size());
  header.sequence = sequence_++;
  header.type = type;
  header.crc = record_crc(header, text);
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof header);
  buffer_ += text;
}

void JournalWriter::write() {
  if (failed_) throw Bug(file_.string() + ": written again after a failure");
  if (buffer_.empty()) return;
  failed_ = true;
  write_all(fd_.get(), buffer_, file_);
  failed_ = false;
  buffer_.clear();
  unsynced_ = true;
}

void JournalWriter::sync() {
  write();
  if (!unsynced_) return;
  failed_ = true;
  sync_file(fd_.get(), file_);
  failed_ = false;
  unsynced_ = false;
}

}  // namespace guda::orchestrator
