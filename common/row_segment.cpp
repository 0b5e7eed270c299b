#include "common/row_segment.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/crc.hpp"
#include "common/error.hpp"

namespace guda {
namespace {

constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;

}  // namespace

RowSegmentWriter::RowSegmentWriter(const std::filesystem::path& file) : file_(file), fd_(open_file(file, kAppend)) {
  sync_directory(file.parent_path());
}

RowsRef RowSegmentWriter::append(const Digest& job, std::uint32_t rows, std::uint32_t columns,
                                 std::span<const float> losses) {
  return append_record(RowKind::losses, job, rows, columns, std::as_bytes(losses));
}

RowsRef RowSegmentWriter::append(const Digest& job, std::uint32_t rows, std::uint32_t columns,
                                 std::span<const double> scores) {
  return append_record(RowKind::scores, job, rows, columns, std::as_bytes(scores));
}

RowsRef RowSegmentWriter::append_record(RowKind kind, const Digest& job, std::uint32_t rows, std::uint32_t columns,
                                        std::span<const std::byte> payload) {
  const std::size_t value_size = kind == RowKind::losses ? sizeof(float) : sizeof(double);
  if (payload.size() != std::size_t{rows} * columns * value_size || job.hex.size() != 32)
    throw Bug("row record of the wrong shape");
  RowRecordHeader header;
  header.kind = kind;
  header.rows = rows;
  header.columns = columns;
  header.payload_crc = crc32_of(payload);
  std::memcpy(header.job.data(), job.hex.data(), 32);

  std::string record(sizeof header + payload.size(), '\0');
  std::memcpy(record.data(), &header, sizeof header);
  std::memcpy(record.data() + sizeof header, payload.data(), payload.size());
  if (!fd_) fd_ = open_file(file_, kAppend);
  const off_t offset = ::lseek(fd_.get(), 0, SEEK_END);
  if (offset < 0) throw IoError(errno_text("cannot seek in", file_, errno));
  try {
    write_all(fd_.get(), record, file_);
    sync_file(fd_.get(), file_);
  } catch (const IoError&) {
    // Half a record would fill a full disk further; a descriptor whose sync failed may lie about the next one.
    static_cast<void>(!::ftruncate(fd_.get(), offset));
    fd_ = Fd();
    throw;
  }
  return {file_.filename().string(), static_cast<std::uint64_t>(offset), record.size(),
          crc32_of(std::as_bytes(std::span(record)))};
}

RowRecord read_row_record(const std::filesystem::path& rows_folder, const RowsRef& where) {
  const auto file = rows_folder / where.segment;
  // A segment name comes from a message or the journal: it must stay inside the folder.
  if (where.segment.empty() || where.segment.find('/') != std::string::npos)
    throw Error("bad segment name '" + where.segment + "'");
  const Fd fd = open_file(file, O_RDONLY);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) throw IoError(errno_text("cannot look at", file, errno));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  // Compared without a sum: a corrupt reference must not wrap around, nor make us allocate what it asks for.
  if (where.length < sizeof(RowRecordHeader) || where.offset > size || where.length > size - where.offset) {
    throw IoError("row record beyond the end of " + file.string());
  }
  std::string record(where.length, '\0');
  if (::pread(fd.get(), record.data(), record.size(), static_cast<off_t>(where.offset)) !=
      static_cast<ssize_t>(record.size())) {
    throw IoError("short read in " + file.string());
  }
  RowRecordHeader header;
  std::memcpy(&header, record.data(), sizeof header);
  const std::size_t value_size = header.kind == RowKind::losses ? sizeof(float) : sizeof(double);
  const std::size_t payload = record.size() - sizeof header;
  const std::uint64_t cells = std::uint64_t{header.rows} * header.columns;
  if (crc32_of(std::as_bytes(std::span(record))) != where.crc || header.magic != RowRecordHeader{}.magic ||
      header.version != 1 || (header.kind != RowKind::losses && header.kind != RowKind::scores) ||
      payload % value_size != 0 || payload / value_size != cells) {
    throw IoError("damaged row record at byte " + std::to_string(where.offset) + " of " + file.string());
  }
  RowRecord result{Digest{std::string(header.job.data(), header.job.size())}, header.rows, header.columns, {}, {}};
  const char* values = record.data() + sizeof header;
  if (header.kind == RowKind::losses) {
    result.losses.resize(payload / sizeof(float));
    std::memcpy(result.losses.data(), values, payload);
  } else {
    result.scores.resize(payload / sizeof(double));
    std::memcpy(result.scores.data(), values, payload);
  }
  return result;
}

}  // namespace guda
