#include "orchestrator/journal.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <random>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {
namespace {

Commit commit(const std::string& name) { return {digest_of(name), 1, "rank 1", "node/cpu1", 2.5, {"0001-1.seg", 0, 60, 9}, {{"loss", 0.5}}}; }

/// A life of three records: life, commit a, commit b.
std::string write_life(const std::filesystem::path& folder, std::uint32_t epoch, std::uint64_t first) {
  JournalWriter writer(folder, epoch, first);
  writer.add(RecordType::life, {{"epoch", epoch}});
  writer.add(RecordType::commit, commit("a"));
  writer.add(RecordType::commit, commit("b"));
  writer.sync();
  return read_file(folder / ("000" + std::to_string(epoch) + ".bin"));
}

void overwrite(const std::filesystem::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

}  // namespace

TEST_CASE("journal: records of several lives come back in order") {
  const test::ScratchFolder scratch;
  write_life(scratch.path(), 1, 0);
  write_life(scratch.path(), 2, 3);
  const JournalContent content = read_journal(scratch.path());
  CHECK(content.damage.empty());
  REQUIRE(content.records.size() == 6);
  CHECK(content.last_epoch == 2);
  CHECK(content.next_sequence == 6);
  const auto back = content.records[1].body.get<Commit>();
  CHECK(back.job == digest_of("a"));
  CHECK(back.rows.length == 60);
  CHECK(back.seconds == 2.5);
}

TEST_CASE("journal: nothing counts before sync") {
  const test::ScratchFolder scratch;
  JournalWriter writer(scratch.path(), 1, 0);
  writer.add(RecordType::commit, commit("a"));
  CHECK(read_journal(scratch.path()).records.empty());
  writer.sync();
  CHECK(read_journal(scratch.path()).records.size() == 1);
}

TEST_CASE("journal: cut at every byte, all records before the cut survive and nothing else appears") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "0001.bin";
  const std::string whole = write_life(scratch.path(), 1, 0);
  std::size_t expected_before = 0;
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    overwrite(file, whole.substr(0, cut));
    const JournalContent content = read_journal(scratch.path());
    CHECK(content.records.size() >= expected_before);
    CHECK(content.records.size() <= 3);
    expected_before = content.records.size();
    for (const JournalDamage& d : content.damage) CHECK(d.torn_tail);
    for (std::size_t i = 0; i < content.records.size(); ++i) CHECK(content.records[i].sequence == i);
  }
  CHECK(expected_before == 3);
}

TEST_CASE("journal: bit flips are detected, records behind them survive, nothing crashes") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "0001.bin";
  const std::string whole = write_life(scratch.path(), 1, 0);
  std::mt19937 random(1);
  int version_refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bad = whole;
    const std::size_t bit = random() % (bad.size() * 8);
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    overwrite(file, bad);
    try {
      const JournalContent content = read_journal(scratch.path());
      CHECK(!content.damage.empty());
      CHECK(content.records.size() >= 2);  // one flip costs one record at most
    } catch (const Error&) {
      ++version_refused;  // the version field itself was hit
    }
  }
  CHECK(version_refused < 100);
}

TEST_CASE("journal: damage in the middle is reported as such, not as a torn tail") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "0001.bin";
  std::string bytes = write_life(scratch.path(), 1, 0);
  bytes[30] = static_cast<char>(bytes[30] ^ 1);  // in the first record
  overwrite(file, bytes);
  const JournalContent content = read_journal(scratch.path());
  REQUIRE(content.damage.size() >= 1);
  CHECK_FALSE(content.damage[0].torn_tail);
  CHECK(content.records.size() == 2);
  CHECK(content.next_sequence == 3);
}

TEST_CASE("journal: a missing life and a foreign version are errors, an epoch can be taken once") {
  const test::ScratchFolder scratch;
  write_life(scratch.path(), 1, 0);
  write_life(scratch.path(), 2, 3);
  CHECK_THROWS_AS(JournalWriter(scratch.path(), 2, 6), IoError);
  std::string bytes = read_file(scratch.path() / "0002.bin");
  bytes[8] = 9;
  overwrite(scratch.path() / "0002.bin", bytes);
  CHECK_THROWS_WITH_AS(static_cast<void>(read_journal(scratch.path())), doctest::Contains("version"), Error);
  overwrite(scratch.path() / "0002.bin", "");
  std::filesystem::remove(scratch.path() / "0001.bin");
  CHECK_THROWS_WITH_AS(static_cast<void>(read_journal(scratch.path())), doctest::Contains("missing"), Error);
}

TEST_CASE("journal: a life killed before its first sync committed nothing and stops nobody") {
  const test::ScratchFolder scratch;
  overwrite(scratch.path() / "0001.bin", "");
  const JournalContent content = read_journal(scratch.path());
  CHECK(content.records.empty());
  CHECK(content.last_epoch == 1);
  JournalWriter next(scratch.path(), 2, content.next_sequence);
}

}  // namespace guda::orchestrator
