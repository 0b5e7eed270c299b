#include "orchestrator/export_csv.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;
namespace fs = std::filesystem;

namespace {

struct TempDir {
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "guda_csv_XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path); }
  fs::path path;
};

struct Run {
  Run() : plan(test::synthetic_plan({.groups = 3, .queries = 2, .timesteps = 4}, {{"logo", "logo"}, {"knn", "knn"}})) {
    plan.groups = {"oil, on canvas", "say \"cheese\"", "plain"};
    table = test::empty_table(plan);
    test::fill_fulls(table);
    test::fill_losses(table, "logo", [](std::size_t q, std::size_t k, std::size_t) {
      return 0.5 * static_cast<double>(k) - static_cast<double>(q);
    });
    table.scores.at("knn") = {0.25, 2e-4, -3e-7, 1, 2, 3};
    comparison = orchestrator::compare(table, plan, {{"knn", {1.5, ""}}});
  }
  jobs::Plan plan;
  orchestrator::ResultsTable table;
  orchestrator::Comparison comparison;
};

std::vector<std::string> lines_of(const fs::path& path) {
  const std::string text = read_file(path);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\r\n", at);
    REQUIRE(end != std::string::npos);
    lines.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return lines;
}

}  // namespace

TEST_CASE("export: fields are quoted as RFC 4180 says") {
  CHECK(orchestrator::csv_field("plain text") == "plain text");
  CHECK(orchestrator::csv_field("a,b") == "\"a,b\"");
  CHECK(orchestrator::csv_field("say \"hi\"") == "\"say \"\"hi\"\"\"");
  CHECK(orchestrator::csv_field("two\nlines") == "\"two\nlines\"");
  CHECK(orchestrator::csv_field("") == "");
}

TEST_CASE("export: scores have one line per query and group with names, value and error") {
  const TempDir dir;
  const Run run;
  const auto files = orchestrator::export_csv(dir.path / "new", run.table, run.plan, run.comparison);
  CHECK(files.size() == 3);
  const auto logo = lines_of(dir.path / "new" / "scores_logo.csv");
  REQUIRE(logo.size() == 7);
  CHECK(logo[0] == "query,set,group,score,stderr");
  CHECK(logo[1] == "generated/s0/0,generated,\"oil, on canvas\",0,0");
  CHECK(logo[2].starts_with("generated/s0/0,generated,\"say \"\"cheese\"\"\",0.5"));
  const auto knn = lines_of(dir.path / "new" / "scores_knn.csv");
  CHECK(knn[3] == "generated/s0/0,generated,plain,-3e-07,");
}

TEST_CASE("export: what is not evaluated has no line") {
  const TempDir dir;
  Run run;
  run.table.scores.at("knn")[1] = std::nan("");
  orchestrator::export_csv(dir.path, run.table, run.plan, run.comparison, {.sorted_layout = true});
  CHECK(lines_of(dir.path / "scores_knn.csv").size() == 6);
  CHECK(lines_of(dir.path / "sorted_knn.csv").size() == 2);
}

TEST_CASE("export: the sorted layout lists triplets by descending score with the reference's rounding") {
  const TempDir dir;
  const Run run;
  orchestrator::export_csv(dir.path, run.table, run.plan, run.comparison, {.sorted_layout = true});
  const auto lines = lines_of(dir.path / "sorted_knn.csv");
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].starts_with("image,R1_Cls,R1_Name,R1_Sc,R2_Cls"));
  CHECK(lines[1] ==
        "generated/s0/0,0,\"0: oil, on canvas\",0.2500,1,\"1: say \"\"cheese\"\"\",0.000200,2,2: plain,-3.000000e-07");
  CHECK(lines[2].starts_with("generated/s0/1,2,2: plain,3.0000,1,"));
}

TEST_CASE("export: the comparison has one line per view, row and metric") {
  const TempDir dir;
  const Run run;
  orchestrator::export_csv(dir.path, run.table, run.plan, run.comparison);
  const auto lines = lines_of(dir.path / "comparison.csv");
  CHECK(lines[0] ==
        "query_set,weighting,draws,reference,queries,groups,row,method,metric,value,low,high,p_vs_best,device_seconds");
  // 4 views x (knn and repeatability x 25 metrics, chance x the 18 that are no calibrated errors or slopes)
  CHECK(lines.size() == 1 + 4 * (2 * 25 + 18));
  CHECK(lines[1].starts_with("generated,elbo,independent,logo,2,3,method,knn,"));
  CHECK(lines[1].ends_with(",1.5"));
}

TEST_CASE("export: a folder that cannot be made is an error with its name") {
  const TempDir dir;
  replace_file(dir.path / "file", "x");
  const Run run;
  CHECK_THROWS_AS(orchestrator::export_csv(dir.path / "file" / "sub", run.table, run.plan, run.comparison), IoError);
}
