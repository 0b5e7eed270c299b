#include "common/row_segment.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda {
namespace {
const Digest kJob = digest_of("some job");
}

TEST_CASE("row segment: tables are read back as they were written, at the place that was named") {
  const test::ScratchFolder scratch;
  RowSegmentWriter writer(scratch.path() / "0001-1.seg");
  const std::vector<float> losses{1, 2, 3, 4, 5, 6};
  const std::vector<double> scores{0.5, -0.5};
  const RowsRef first = writer.append(kJob, 2, 3, losses);
  const RowsRef second = writer.append(kJob, 1, 2, scores);
  CHECK(second.offset == first.offset + first.length);
  const RowRecord a = read_row_record(scratch.path(), first), b = read_row_record(scratch.path(), second);
  CHECK(a.losses == losses);
  CHECK(a.rows == 2);
  CHECK(a.columns == 3);
  CHECK(a.job == kJob);
  CHECK(b.scores == scores);
}

TEST_CASE("row segment: every flipped bit of a record is noticed") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "0001-1.seg";
  RowsRef where;
  {
    RowSegmentWriter writer(file);
    where = writer.append(kJob, 1, 4, std::vector<float>{1, 2, 3, 4});
  }
  const std::string good = read_file(file);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    std::ofstream(file, std::ios::binary) << bad;
    CHECK_THROWS_AS(static_cast<void>(read_row_record(scratch.path(), where)), IoError);
  }
}

TEST_CASE("row segment: a record beyond the end or outside the folder is refused") {
  const test::ScratchFolder scratch;
  RowSegmentWriter writer(scratch.path() / "0001-1.seg");
  RowsRef where = writer.append(kJob, 1, 1, std::vector<float>{1});
  where.length += 1;
  CHECK_THROWS_AS(static_cast<void>(read_row_record(scratch.path(), where)), IoError);
  where.segment = "../secret";
  CHECK_THROWS_AS(static_cast<void>(read_row_record(scratch.path(), where)), Error);
  CHECK_THROWS_AS(static_cast<void>(read_row_record(scratch.path(), {"missing.seg", 0, 60, 0})), IoError);
}

TEST_CASE("row segment: a shape that does not fit its values is a bug of the caller") {
  const test::ScratchFolder scratch;
  RowSegmentWriter writer(scratch.path() / "0001-1.seg");
  CHECK_THROWS_AS(static_cast<void>(writer.append(kJob, 2, 2, std::vector<float>{1})), Bug);
}

TEST_CASE("row segment: references that wrap around or ask for everything are refused before anything is allocated") {
  const test::ScratchFolder scratch;
  RowSegmentWriter writer(scratch.path() / "0001-1.seg");
  const RowsRef where = writer.append(kJob, 1, 4, std::vector<float>{1, 2, 3, 4});
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  for (const auto& [offset, length] : {std::pair{kAll, where.length},
                                       {kAll - 50, std::uint64_t{60}},
                                       {std::uint64_t{0}, kAll},
                                       {std::uint64_t{60}, kAll - 58},
                                       {std::uint64_t{1} << 62, std::uint64_t{1} << 62},
                                       {std::uint64_t{0}, std::uint64_t{0}}}) {
    CHECK_THROWS_AS(static_cast<void>(read_row_record(scratch.path(), {where.segment, offset, length, where.crc})),
                    IoError);
  }
}

TEST_CASE("row segment: a record that a full disk cut is taken back, and the next one is whole") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "0001-1.seg";
  RowSegmentWriter writer(file);
  static_cast<void>(writer.append(kJob, 1, 1, std::vector<float>{1}));
  const auto size = std::filesystem::file_size(file);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{size + 20, before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &tight);
  CHECK_THROWS_AS(static_cast<void>(writer.append(kJob, 1, 1, std::vector<float>{2})), IoError);
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(std::filesystem::file_size(file) == size);
  CHECK(read_row_record(scratch.path(), writer.append(kJob, 1, 1, std::vector<float>{3})).losses ==
        std::vector<float>{3});
}

}  // namespace guda
