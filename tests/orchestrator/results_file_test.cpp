#include "orchestrator/results_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;
using orchestrator::ResultsFile;
using orchestrator::ResultsShape;
namespace fs = std::filesystem;

namespace {

struct TempDir {
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "guda_results_XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path); }
  fs::path path;
};

jobs::Plan small_plan() {
  return test::synthetic_plan({.groups = 4, .queries = 10, .timesteps = 5, .block = 4},
                              {{"logo", "logo"}, {"logo_b", "logo"}, {"exact", "guda"}, {"knn", "knn"}}, "logo_b");
}

/// The value that every test writer puts into a cell.
float cell(std::size_t group, std::size_t query, std::size_t slot) {
  return static_cast<float>(1000 * group + 20 * query) + 0.25F * static_cast<float>(slot);
}

void write_block(ResultsFile& file, const ResultsShape& shape, const std::string& method, std::uint32_t group,
                 std::uint32_t block) {
  const auto [first, count] = shape.blocks[block];
  const auto slots = static_cast<std::uint32_t>(shape.slots.size());
  std::vector<float> rows;
  for (std::uint32_t q = first; q < first + count; ++q) {
    for (std::uint32_t s = 0; s < slots; ++s) rows.push_back(cell(group, q, s));
  }
  file.write_losses(method, group, first, 0, count, slots, rows);
  file.mark_done(method, group, block);
}

}  // namespace

TEST_CASE("results file: a new file has the axes of the plan, nothing done and NaN everywhere") {
  const TempDir dir;
  const auto plan = small_plan();
  ResultsFile::create(dir.path / "results.h5", ResultsShape::of(plan), Json::object());
  const auto table = orchestrator::read_results(dir.path / "results.h5");
  CHECK(table.shape.groups == plan.groups);
  REQUIRE(table.queries() == plan.queries.size());
  CHECK(table.shape.queries[3].name == plan.queries[3].name);
  CHECK(table.shape.queries[3].set == "generated");
  CHECK(table.shape.slots == plan.slots);
  REQUIRE(table.shape.blocks.size() == 3);
  CHECK(table.shape.blocks[2].first == 8);
  CHECK(table.shape.blocks[2].count == 2);
  CHECK(table.shape.fulls == std::vector<std::string>{"full", "full__logo_b"});
  CHECK(table.losses.at("exact").size() == 4 * 10 * plan.slots.size());
  CHECK(table.losses.count("knn") == 0);
  CHECK(table.scores.at("knn").size() == 10 * 4);
  for (const auto& [name, losses] : table.losses) CHECK(std::isnan(losses.front()));
  for (const auto& [name, status] : table.status)
    CHECK(std::count(status.begin(), status.end(), 0) == static_cast<long>(status.size()));
  CHECK(std::distance(fs::directory_iterator(dir.path), fs::directory_iterator()) == 1);  // no temporary file is left
}

TEST_CASE("results file: rows come back where they were written and only after their block is done") {
  const TempDir dir;
  const auto plan = small_plan();
  const auto shape = ResultsShape::of(plan);
  ResultsFile::create(dir.path / "results.h5", shape, Json::object());
  const std::size_t slots = plan.slots.size();
  {
    auto file = ResultsFile::open(dir.path / "results.h5");
    write_block(file, shape, "exact", 2, 1);
    write_block(file, shape, "full__logo_b", 0, 2);
    const std::vector<float> pending(4 * slots, 5.0F);
    file.write_losses("exact", 1, 0, 0, 4, static_cast<std::uint32_t>(slots), pending);
    const std::vector<double> scores(10 * 4, 0.5), errors(10 * 4, 0.1);
    file.write_scores("knn", 0, 10, 4, scores, errors);
    file.mark_all_groups_done("knn", 0);

    // The writer is still open: readers see what is done.
    const auto during = orchestrator::read_results(dir.path / "results.h5");
    CHECK(during.losses.at("exact")[(2 * 10 + 4) * slots + 3] == cell(2, 4, 3));
  }
  const auto table = orchestrator::read_results(dir.path / "results.h5");
  CHECK(table.losses.at("exact")[(2 * 10 + 7) * slots + 9] == cell(2, 7, 9));
  CHECK(std::isnan(table.losses.at("exact")[(2 * 10 + 3) * slots]));
  CHECK(std::isnan(table.losses.at("exact")[(1 * 10 + 0) * slots]));
  CHECK(table.losses.at("full__logo_b")[8 * slots + 1] == cell(0, 8, 1));
  CHECK(std::isnan(table.losses.at("full")[8 * slots + 1]));
  CHECK(table.scores.at("knn")[0] == 0.5);
  CHECK(table.score_errors.at("knn")[15] == 0.1);
  CHECK(std::isnan(table.scores.at("knn")[16]));  // query 4 is in block 1
}

TEST_CASE("results file: part of the slot axis can be written alone") {
  const TempDir dir;
  const auto plan = small_plan();
  ResultsFile::create(dir.path / "results.h5", ResultsShape::of(plan), Json::object());
  auto file = ResultsFile::open(dir.path / "results.h5");
  const std::vector<float> rows(4 * 5, 2.0F);
  file.write_losses("exact", 0, 0, 5, 4, 5, rows);
  file.mark_done("exact", 0, 0);
  const auto table = orchestrator::read_results(dir.path / "results.h5");
  CHECK(std::isnan(table.losses.at("exact")[4]));
  CHECK(table.losses.at("exact")[5] == 2.0F);
}

TEST_CASE("results file: provenance comes back as it was given, whatever its length") {
  const TempDir dir;
  Json attributes{{"config", {{"name", "digits"}, {"seeds", {0, 1}}}}, {"build", "abc123"}, {"seeds", {0, 1}}};
  attributes["config"]["long"] = std::string(200000, 'x');
  ResultsFile::create(dir.path / "results.h5", ResultsShape::of(small_plan()), attributes);
  const auto table = orchestrator::read_results(dir.path / "results.h5");
  CHECK(table.attributes.at("config") == attributes["config"]);
  CHECK(table.attributes.at("build") == "abc123");
  CHECK(table.attributes.at("seeds") == attributes["seeds"]);
}

TEST_CASE("results file: equal shape and attributes give equal bytes") {
  const TempDir dir;
  const auto shape = ResultsShape::of(small_plan());
  ResultsFile::create(dir.path / "a.h5", shape, Json{{"build", "x"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // time stamps would differ
  ResultsFile::create(dir.path / "b.h5", shape, Json{{"build", "x"}});
  CHECK(read_file(dir.path / "a.h5") == read_file(dir.path / "b.h5"));
}

TEST_CASE("results file: names that collide with the full model's are refused") {
  for (const std::string name : {"full", "full__x", "a/b"}) {
    const auto plan = test::synthetic_plan({}, {{name, "guda"}});
    CHECK_THROWS_AS(static_cast<void>(ResultsShape::of(plan)), Error);
  }
}

TEST_CASE("results file: missing, foreign and cut files are named in the error") {
  const TempDir dir;
  const auto message_of = [&](const std::string& name) {
    try {
      static_cast<void>(orchestrator::read_results(dir.path / name));
    } catch (const IoError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(message_of("absent.h5").find("absent.h5") != std::string::npos);
  std::ofstream(dir.path / "text.h5") << "not HDF5";
  CHECK(message_of("text.h5").find("text.h5") != std::string::npos);
  ResultsFile::create(dir.path / "cut.h5", ResultsShape::of(small_plan()), Json::object());
  fs::resize_file(dir.path / "cut.h5", fs::file_size(dir.path / "cut.h5") / 2);
  CHECK(message_of("cut.h5").find("truncated") != std::string::npos);
  CHECK_THROWS_AS(static_cast<void>(ResultsFile::open(dir.path / "cut.h5")), IoError);
}

TEST_CASE("results file: a row of the wrong size is a bug, one outside of the axes an error") {
  const TempDir dir;
  ResultsFile::create(dir.path / "results.h5", ResultsShape::of(small_plan()), Json::object());
  auto file = ResultsFile::open(dir.path / "results.h5");
  const std::vector<float> rows(10, 1.0F);
  CHECK_THROWS_AS(file.write_losses("exact", 0, 0, 0, 1, 9, rows), Bug);
  CHECK_THROWS_AS(file.write_losses("exact", 0, 10, 0, 1, 10, rows), IoError);
  CHECK_THROWS_AS(file.write_losses("nobody", 0, 0, 0, 1, 10, rows), IoError);
}

TEST_CASE("results file: a writer killed at any moment leaves a file whose done rows are right") {
  const TempDir dir;
  const fs::path path = dir.path / "results.h5";
  const auto plan = test::synthetic_plan({.groups = 8, .queries = 256, .timesteps = 40, .block = 16},
                                         {{"logo", "logo"}, {"exact", "guda"}});
  const auto shape = ResultsShape::of(plan);
  const std::size_t slots = plan.slots.size();
  std::size_t done_in_all = 0, unfinished = 0;
  for (int life = 0; life < 20; ++life) {
    ResultsFile::create(path, shape, Json::object());
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t writer = ::fork();
    REQUIRE(writer >= 0);
    if (writer == 0) {
      auto file = ResultsFile::open(path);
      const char go = 'g';
      if (::write(ready[1], &go, 1) != 1) ::_exit(1);
      for (std::uint32_t g = 0; g < 8; ++g) {
        for (std::uint32_t b = 0; b < shape.blocks.size(); ++b) write_block(file, shape, "exact", g, b);
      }
      while (true) ::pause();
    }
    char go = 0;
    REQUIRE(::read(ready[0], &go, 1) == 1);
    std::this_thread::sleep_for(std::chrono::microseconds(137 * life));
    ::kill(writer, SIGKILL);
    int status = 0;
    ::waitpid(writer, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    ::close(ready[0]);
    ::close(ready[1]);

    const auto table = orchestrator::read_results(path);
    const auto& done = table.status.at("exact");
    const auto& losses = table.losses.at("exact");
    std::size_t wrong = 0;
    for (std::size_t g = 0; g < 8; ++g) {
      for (std::size_t b = 0; b < shape.blocks.size(); ++b) {
        const bool is_done = done[g * shape.blocks.size() + b] == orchestrator::kDone;
        (is_done ? done_in_all : unfinished) += 1;
        for (std::size_t q = shape.blocks[b].first; q < shape.blocks[b].first + shape.blocks[b].count; ++q) {
          for (std::size_t s = 0; s < slots; ++s) {
            const float found = losses[(g * 256 + q) * slots + s];
            wrong += is_done ? found != cell(g, q, s) : !std::isnan(found);
          }
        }
      }
    }
    CHECK(wrong == 0);
    auto next = ResultsFile::open(path);  // the next life goes on in the same file
    write_block(next, shape, "exact", 7, 15);
  }
  CHECK(done_in_all > 0);
  CHECK(unfinished > 0);
}

TEST_CASE("results file: pairs and drawn slots come back; before a pilot there is a file without slots") {
  const TempDir dir;
  auto plan = small_plan();
  plan.slots = {{10, 0, 0.5}, {10, 0, 0.5, true}, {30, 1, 0.25, false, 1, 1}, {30, 1, 0.25, true, 1, 1}};
  ResultsFile::create(dir.path / "results.h5", ResultsShape::of(plan), Json::object());
  CHECK(orchestrator::read_results(dir.path / "results.h5").shape.slots == plan.slots);
  plan.slots.clear();
  ResultsFile::create(dir.path / "results.h5", ResultsShape::of(plan), Json::object());
  auto file = ResultsFile::open(dir.path / "results.h5");
  const std::vector<double> rows(40, 1.0);
  file.write_scores("knn", 0, 10, 4, rows, {});
  file.mark_all_groups_done("knn", 0);
  const auto table = orchestrator::read_results(dir.path / "results.h5");
  CHECK(table.slots() == 0);
  CHECK(table.losses.at("exact").empty());
  CHECK(table.scores.at("knn").front() == 1);
}
