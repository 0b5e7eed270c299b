#include "orchestrator/journal.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {
namespace {

Commit commit(const std::string& name) {
  return {digest_of(name), 1, "rank 1", "node/cpu1", 2.5, {"0001-1.seg", 0, 60, 9}, {{"loss", 0.5}}, 7};
}

/// A life of three records: life, commit a, commit b.
std::string write_life(const std::filesystem::path& folder, std::uint32_t epoch, std::uint64_t first) {
  JournalWriter writer(folder, epoch, first);
  writer.add(RecordType::life, {{"epoch", epoch}});
  writer.add(RecordType::commit, commit("a"));
  writer.add(RecordType::commit, commit("b"));
  writer.sync();
  return read_file(folder / ("000" + std::to_string(epoch) + ".bin"));
}

void overwrite(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

/// Where record `index` of a file begins.
std::size_t read_life_record_offset(const std::string& bytes, int index) {
  std::size_t at = 16;
  for (; index > 0; --index) {
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at + 4, sizeof length);
    at += 24 + length;
  }
  return at;
}

std::size_t memory_in_use() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow memory knows no limit
#else
constexpr bool kSanitized = false;
#endif

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
    CHECK(content.sound());
    expected_before = content.records.size();
    for (const JournalDamage& d : content.damage) CHECK(d.torn_tail);
    for (std::size_t i = 0; i < content.records.size(); ++i) CHECK(content.records[i].sequence == i);
  }
  CHECK(expected_before == 3);
}

TEST_CASE("journal: cut at every byte of its last two records, the next life goes on and the whole is sound") {
  const test::ScratchFolder scratch;
  const auto first = scratch.path() / "0001.bin", second = scratch.path() / "0002.bin";
  const std::string whole = write_life(scratch.path(), 1, 0);
  const std::size_t begin = read_life_record_offset(whole, 1);
  std::size_t offsets = 0;
  for (std::size_t cut = begin; cut <= whole.size(); ++cut, ++offsets) {
    std::filesystem::remove(second);
    overwrite(first, whole.substr(0, cut));
    const JournalContent torn = read_journal(scratch.path());
    CHECK(torn.next_sequence == torn.records.size());
    write_life(scratch.path(), 2, torn.next_sequence);
    const JournalContent after = read_journal(scratch.path());
    CHECK(after.sound());
    CHECK(after.records.size() == torn.records.size() + 3);
  }
  MESSAGE("torn offsets tried: " << offsets << ", all sound afterwards");
}

TEST_CASE("journal: bit flips are detected, all records but the hit one survive, nothing crashes") {
  const test::ScratchFolder scratch;
  write_life(scratch.path(), 1, 0);
  write_life(scratch.path(), 2, 3);
  const std::string files[] = {read_file(scratch.path() / "0001.bin"), read_file(scratch.path() / "0002.bin")};
  std::mt19937 random(1);
  int detected = 0, survived = 0;
  constexpr int kFlips = 2000;
  for (int i = 0; i < kFlips; ++i) {
    const std::size_t life = random() % 2;
    const auto file = scratch.path() / ("000" + std::to_string(life + 1) + ".bin");
    std::string bad = files[life];
    const std::size_t bit = random() % (bad.size() * 8);
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    overwrite(file, bad);
    const JournalContent content = read_journal(scratch.path());
    detected += content.damage.empty() ? 0 : 1;
    survived += content.records.size() >= 5 ? 1 : 0;
    // Only a hit in the very last record of the last life can't be told from the trace of a kill.
    if (content.sound()) CHECK(bit / 8 >= read_life_record_offset(files[1], 2));
    overwrite(file, files[life]);
  }
  MESSAGE("bit flips detected: " << detected << " of " << kFlips);
  CHECK(detected == kFlips);
  CHECK(survived == kFlips);
}

TEST_CASE("journal: a length that asks for the moon is damage, and nothing is allocated for it") {
  const test::ScratchFolder scratch;
  const std::string whole = write_life(scratch.path(), 1, 0);
  const std::size_t second = read_life_record_offset(whole, 1);
  for (const std::uint32_t length : {0xffffffffU, 0x7fffffffU, 65537U, 65536U, 1U, 0U}) {
    std::string bad = whole;
    std::memcpy(bad.data() + second + 4, &length, sizeof length);
    overwrite(scratch.path() / "0001.bin", bad);
    rlimit before{};
    ::getrlimit(RLIMIT_AS, &before);
    const rlimit tight{memory_in_use() + (64U << 20), before.rlim_max};
    if (!kSanitized) ::setrlimit(RLIMIT_AS, &tight);
    const JournalContent content = read_journal(scratch.path());
    if (!kSanitized) ::setrlimit(RLIMIT_AS, &before);
    CHECK_FALSE(content.sound());
    REQUIRE(content.records.size() == 2);
    CHECK(content.records[1].sequence == 2);
  }
}

TEST_CASE("journal: a hole in the sequence is reported with the records that are lost") {
  const test::ScratchFolder scratch;
  write_life(scratch.path(), 1, 0);
  write_life(scratch.path(), 2, 5);  // 3 and 4 had been there once
  const JournalContent content = read_journal(scratch.path());
  REQUIRE(content.holes.size() == 1);
  CHECK(content.holes[0].first == 3);
  CHECK(content.holes[0].last == 4);
  CHECK(content.holes[0].file.filename() == "0002.bin");
  CHECK_FALSE(content.sound());
  CHECK(content.records.size() == 6);
}

TEST_CASE("journal: a last record that somebody had read and that is damaged now is damage, not a torn tail") {
  const test::ScratchFolder scratch;
  std::string bytes = write_life(scratch.path(), 1, 0);
  write_life(scratch.path(), 2, 3);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  overwrite(scratch.path() / "0001.bin", bytes);
  const JournalContent content = read_journal(scratch.path());
  REQUIRE(content.damage.size() == 1);
  CHECK_FALSE(content.damage[0].torn_tail);
  CHECK(content.holes.size() == 1);
}

TEST_CASE("journal: what a frozen life appends after its successor has begun never counts") {
  const test::ScratchFolder scratch;
  JournalWriter frozen(scratch.path(), 1, 0);
  frozen.add(RecordType::life, {{"epoch", 1}});
  frozen.add(RecordType::commit, commit("a"));
  frozen.sync();
  write_life(scratch.path(), 2, 2);
  frozen.add(RecordType::commit, commit("late"));
  frozen.sync();
  const JournalContent content = read_journal(scratch.path());
  REQUIRE(content.stale.size() == 1);
  CHECK(content.stale[0].body.get<Commit>().job == digest_of("late"));
  CHECK(content.records.size() == 5);
  CHECK(content.sound());
  CHECK(content.next_sequence == 5);
}

TEST_CASE("journal: a repair record takes note of damage and holes, what comes later is reported anew") {
  const test::ScratchFolder scratch;
  std::string bytes = write_life(scratch.path(), 1, 0);
  bytes[30] = static_cast<char>(bytes[30] ^ 1);
  overwrite(scratch.path() / "0001.bin", bytes);
  const JournalContent broken = read_journal(scratch.path());
  CHECK_FALSE(broken.sound());
  JournalWriter writer(scratch.path(), 2, broken.next_sequence);
  writer.add(RecordType::life, {{"epoch", 2}});
  for (const Json& body : repair_bodies(broken, {digest_of("a")}, "test")) writer.add(RecordType::repair, body);
  writer.sync();
  CHECK(read_journal(scratch.path()).sound());
  bytes[bytes.size() - 30] = static_cast<char>(bytes[bytes.size() - 30] ^ 1);
  overwrite(scratch.path() / "0001.bin", bytes);
  CHECK_FALSE(read_journal(scratch.path()).sound());
}

TEST_CASE("journal: thousands of lost jobs fit into repair records") {
  const test::ScratchFolder scratch;
  std::vector<Digest> lost;
  for (int i = 0; i < 5000; ++i) lost.push_back(digest_of(std::to_string(i)));
  JournalWriter writer(scratch.path(), 1, 0);
  for (const Json& body : repair_bodies({}, lost, "test")) writer.add(RecordType::repair, body);
  writer.sync();
  std::size_t found = 0;
  for (const JournalRecord& record : read_journal(scratch.path()).records) found += record.body.at("lost").size();
  CHECK(found == 5000);
}

TEST_CASE("journal: a commit that says nothing is damage, not an exception") {
  const test::ScratchFolder scratch;
  JournalWriter writer(scratch.path(), 1, 0);
  writer.add(RecordType::life, {{"epoch", 1}});
  writer.add(RecordType::commit, {{"job", 7}});
  writer.sync();
  CHECK_FALSE(read_journal(scratch.path()).sound());
  writer.add(RecordType::failure, {{"job", {1, 2}}, {"quarantined", 3}});
  writer.sync();
  CHECK(read_journal(scratch.path()).records.size() == 1);
}

TEST_CASE("journal: a record of a type from the future is kept and stops nobody") {
  const test::ScratchFolder scratch;
  JournalWriter writer(scratch.path(), 1, 0);
  writer.add(static_cast<RecordType>(99), {{"news", true}});
  writer.add(RecordType::commit, commit("a"));
  writer.sync();
  CHECK(read_journal(scratch.path()).sound());
  CHECK(read_journal(scratch.path()).records.size() == 2);
}

TEST_CASE("journal: written records are seen by readers before they are synced") {
  const test::ScratchFolder scratch;
  JournalWriter writer(scratch.path(), 1, 0);
  writer.add(RecordType::lease, {{"job", "x"}});
  writer.write();
  CHECK(read_journal(scratch.path()).records.size() == 1);
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
  std::string bytes(16, '\0');
  bytes.replace(0, 8, "GUDAJRNL");
  bytes[8] = 9;
  overwrite(scratch.path() / "0002.bin", bytes + "records of another kind");
  CHECK_THROWS_WITH_AS(static_cast<void>(read_journal(scratch.path())), doctest::Contains("version 9"), Error);
  overwrite(scratch.path() / "0002.bin", "");
  std::filesystem::remove(scratch.path() / "0001.bin");
  CHECK_THROWS_WITH_AS(static_cast<void>(read_journal(scratch.path())), doctest::Contains("missing"), Error);
  CHECK(read_journal(scratch.path(), MissingLives::report).missing_lives == std::vector<std::uint32_t>{1});
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
