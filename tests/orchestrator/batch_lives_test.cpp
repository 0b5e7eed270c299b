#include "orchestrator/batch_lives.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {

TEST_CASE("batch lives: progress is a finished job or a newer checkpoint, and resets the count of barren lives") {
  BatchLives lives;
  CHECK(after_life(lives, {0, 0}, {50, 3}).requeue);
  CHECK(lives.barren == 1);
  const LifeVerdict jobs = after_life(lives, {4, 0}, {50, 3});
  CHECK(jobs.requeue);
  CHECK(jobs.why == "4 jobs done in this life");
  CHECK(lives.barren == 0);
  CHECK(after_life(lives, {4, 0}, {50, 3}).why.find("no progress") == 0);
  CHECK(after_life(lives, {4, 1000.5}, {50, 3}).why == "checkpoints were written in this life");
  CHECK(lives.barren == 0);
}

TEST_CASE("batch lives: lives in a row without progress end it, and so does their greatest number") {
  BatchLives lives;
  CHECK(after_life(lives, {0, 0}, {50, 2}).requeue);
  const LifeVerdict barren = after_life(lives, {0, 0}, {50, 2});
  CHECK_FALSE(barren.requeue);
  CHECK(barren.why.find("2 lives in a row without progress") == 0);
  BatchLives many;
  for (std::uint64_t life = 1; life < 5; ++life) CHECK(after_life(many, {life, 0}, {5, 2}).requeue);
  CHECK_FALSE(after_life(many, {9, 0}, {5, 2}).requeue);
}

TEST_CASE("batch lives: the count outlives the process; a damaged file starts it again") {
  const test::ScratchFolder scratch;
  const auto file = scratch / "batch.json";
  BatchLives lives;
  lives.job = "17";
  static_cast<void>(after_life(lives, {3, 12.25}, {50, 3}));
  write_batch(file, lives);
  const BatchLives back = read_batch(file);
  CHECK(back.job == "17");
  CHECK(back.lives == 1);
  CHECK(back.before.commits == 3);
  CHECK(back.before.newest_checkpoint == 12.25);
  std::ofstream(file) << "{";
  CHECK(read_batch(file).lives == 0);
}

}  // namespace guda::orchestrator
