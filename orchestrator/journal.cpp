#include "orchestrator/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "common/crc.hpp"
#include "common/error.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::uint64_t kFileMagic = 0x4c4e524a41445547;  // "GUDAJRNL"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kRecordMagic = 0x4345524a;        // "JREC"
constexpr std::uint32_t kMaxBody = 64 * 1024;             // a corrupt length never makes us allocate more

struct FileHeader {
  std::uint64_t magic = kFileMagic;
  std::uint32_t version = kVersion;
  std::uint32_t epoch = 0;
};
static_assert(sizeof(FileHeader) == 16);

struct RecordHeader {
  std::uint32_t magic = kRecordMagic;
  std::uint32_t length = 0;    // of the body
  std::uint64_t sequence = 0;
  RecordType type{};
  std::uint32_t crc = 0;       // of this header with crc = 0, then the body
};
static_assert(sizeof(RecordHeader) == 24);

std::uint32_t record_crc(RecordHeader header, std::string_view body) {
  header.crc = 0;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += body;
  return crc32_of(std::as_bytes(std::span(bytes)));
}

std::optional<JournalRecord> record_at(std::string_view bytes, std::size_t at, std::size_t& end) {
  RecordHeader header;
  if (bytes.size() - at < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data() + at, sizeof header);
  if (header.magic != kRecordMagic || header.length > kMaxBody || bytes.size() - at - sizeof header < header.length) return std::nullopt;
  const std::string_view body = bytes.substr(at + sizeof header, header.length);
  if (record_crc(header, body) != header.crc) return std::nullopt;
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  end = at + sizeof header + header.length;
  return JournalRecord{header.type, header.sequence, std::move(json)};
}

void read_life(const std::filesystem::path& file, std::uint32_t epoch, JournalContent& content) {
  const std::string bytes = read_file(file);
  FileHeader header;
  if (bytes.size() < sizeof header) {
    // Killed between creating the file and its first sync: a life that committed nothing.
    content.damage.push_back({file, 0, "no header", true});
    return;
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kFileMagic) {
    content.damage.push_back({file, 0, "not a journal header", false});
  } else if (header.version != kVersion) {
    throw Error(fmt::format("{}: journal version {} (this guda reads {}). Cure: use the guda that wrote it.", file.string(), header.version,
                            kVersion));
  } else if (header.epoch != epoch) {
    content.damage.push_back({file, 0, "header names another epoch", false});
  }
  std::size_t at = sizeof header;
  while (at < bytes.size()) {
    std::size_t end = 0;
    if (auto record = record_at(bytes, at, end)) {
      content.records.push_back(std::move(*record));
      at = end;
      continue;
    }
    // Resynchronise: does any valid record follow? If not this is the torn tail of a killed writer.
    std::size_t next = at + 1;
    bool found = false;
    const std::string_view magic(reinterpret_cast<const char*>(&kRecordMagic), sizeof kRecordMagic);
    for (next = bytes.find(magic, next); next != std::string::npos; next = bytes.find(magic, next + 1)) {
      if (record_at(bytes, next, end)) {
        found = true;
        break;
      }
    }
    content.damage.push_back({file, at, found ? "damaged bytes before a valid record" : "torn tail", !found});
    if (!found) break;
    at = next;
  }
}

}  // namespace

void to_json(Json& j, const Commit& c) {
  j = {{"job", c.job.hex}, {"attempt", c.attempt}, {"worker", c.worker}, {"device", c.device},
       {"seconds", c.seconds}, {"rows", c.rows}, {"metrics", c.metrics}};
}

void from_json(const Json& j, Commit& c) {
  c.job = Digest{j.at("job").get<std::string>()};
  j.at("attempt").get_to(c.attempt);
  j.at("worker").get_to(c.worker);
  j.at("device").get_to(c.device);
  j.at("seconds").get_to(c.seconds);
  j.at("rows").get_to(c.rows);
  c.metrics = j.at("metrics");
}

JournalContent read_journal(const std::filesystem::path& folder) {
  JournalContent content;
  std::map<std::uint32_t, std::filesystem::path> lives;
  if (std::filesystem::exists(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string stem = entry.path().stem().string();
      if (entry.path().extension() != ".bin" || stem.empty() || stem.size() > 9 ||
          !std::all_of(stem.begin(), stem.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        continue;
      }
      lives[static_cast<std::uint32_t>(std::stoul(stem))] = entry.path();
    }
  }
  for (const auto& [epoch, file] : lives) {
    if (epoch != content.last_epoch + 1) {
      throw Error(fmt::format("{}: the journal of life {} is missing, so commits may be lost. Cure: restore the file, or start a new run "
                              "directory that reuses this one's artifacts.",
                              folder.string(), content.last_epoch + 1));
    }
    read_life(file, epoch, content);
    content.last_epoch = epoch;
  }
  for (std::size_t i = 0; i < content.records.size(); ++i) {
    const std::uint64_t expected = i == 0 ? 0 : content.records[i - 1].sequence + 1;
    if (content.records[i].sequence != expected) {
      const bool known = std::any_of(content.damage.begin(), content.damage.end(), [](const JournalDamage& d) { return !d.torn_tail; });
      if (!known) {
        content.damage.push_back({folder, 0, fmt::format("record {} follows record {}", content.records[i].sequence,
                                                         expected == 0 ? 0 : expected - 1), false});
      }
    }
  }
  content.next_sequence = content.records.empty() ? 0 : content.records.back().sequence + 1;
  return content;
}

JournalWriter::JournalWriter(const std::filesystem::path& folder, std::uint32_t epoch, std::uint64_t first_sequence)
    : file_(folder / fmt::format("{:04}.bin", epoch)), sequence_(first_sequence) {
  std::filesystem::create_directories(folder);
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

void JournalWriter::sync() {
  if (buffer_.empty()) return;
  write_all(fd_.get(), buffer_, file_);
  sync_file(fd_.get(), file_);
  buffer_.clear();
}

}  // namespace guda::orchestrator
