#include "orchestrator/import_csv.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "orchestrator/export_csv.hpp"
#include "tests/orchestrator/synthetic_run.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::orchestrator;
using doctest::Approx;

namespace {

struct Files {
  test::ScratchFolder folder;
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    replace_file(folder.path() / name, text);
    return folder.path() / name;
  }
  RecordedScores read(const std::string& text) const { return read_scores_csv(write("scores.csv", text)); }
};

double value(const Comparison& comparison, const std::string& method, const std::string& metric) {
  return comparison.views.at(0).methods.at(method).metrics.at(metric).estimate.value;
}

}  // namespace

TEST_CASE("import: RFC 4180 rows, with quotes, line ends of both kinds and no end of the last line") {
  const auto rows = csv_rows("a,\"b, \"\"c\"\"\",\r\n\r\n\"d\ne\",,f");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0] == std::vector<std::string>{"a", "b, \"c\"", ""});
  CHECK(rows[1] == std::vector<std::string>{"d\ne", "", "f"});
  CHECK_THROWS_WITH_AS((void)csv_rows("a,\"b"), doctest::Contains("not closed"), Error);
}

TEST_CASE("import: every published layout gives the same table") {
  const Files files;
  const auto check = [](const RecordedScores& s, bool numbered) {
    CHECK(s.numbered == numbered);
    REQUIRE(s.images.size() == 2);
    REQUIRE(s.groups.size() == 3);
    CHECK(s.score == std::vector<double>{0.5, -2, 1e-7, 3, 4, 5});
  };
  check(files.read(
            "query,set,group,score,stderr\nq1,g,a,0.5,\nq1,g,b,-2,\nq1,g,c,1e-7,1\nq2,g,a,3,\nq2,g,b,4,\nq2,g,c,5,\n"),
        false);
  check(files.read("image,R1_Cls,R1_Name,R1_Sc,R2_Cls,R2_Name,R2_Sc,R3_Cls,R3_Name,R3_Sc\n"
                   "image_0.png,0,0: airplane,0.5000,2,2: bird,1.000000e-07,1,1: car,-2.0000\n"
                   "image_1.png,2,2: bird,5.0000,1,1: car,4.0000,0,0: airplane,3.0000\n"),
        true);
  check(files.read("image,class_id,delta_elbo\n/x/image_0.png,0,0.5\n/x/image_0.png,1,-2\n/x/image_0.png,2,1e-7\n"
                   "/x/image_1.png,0,3\n/x/image_1.png,1,4\n/x/image_1.png,2,5\n"),
        true);
  check(files.read("image_id,a,b,c\nimage_0000,0.5,-2,1e-7\nimage_0001,3,4,5\n"), false);
  const RecordedScores canvas = files.read(
      "generated_style,object_name,attribution_style,una_score,image_path\n"
      "Cold Warm,Dogs,Cold_Warm,0.5,d.png\nCold Warm,Dogs,Cubism,-2,d.png\nCold Warm,Dogs,Crayon,1e-7,d.png\n"
      "Cubism,Cats,Cold_Warm,3,c.png\nCubism,Cats,Cubism,4,c.png\nCubism,Cats,Crayon,5,c.png\n");
  check(canvas, false);
  CHECK(canvas.true_groups == std::vector<std::string>{"Cold_Warm", "Cubism"});
}

TEST_CASE("import: recorded tables give the metrics of the published test vector (methods.md 10.3)") {
  const Files files;
  // The images stand in another order, and one of them is missing on each side.
  const auto oracle = files.read("image_id,0,1,2,3,4\na.png,5,1,4,-2,0.5\nb.png,5,1,4,-2,0.5\nonly_here,0,1,2,3,4\n");
  const auto method = files.read(
      "image,class_id,score\n/there/b.png,0,0.2\n/there/b.png,1,0.9\n/there/b.png,2,0.8\n/there/b.png,3,0.1\n/there/"
      "b.png,4,0.3\n"
      "/there/a.png,0,0.2\n/there/a.png,1,0.9\n/there/a.png,2,0.8\n/there/a.png,3,0.1\n/there/a.png,4,0.3\n"
      "/there/z.png,0,1\n/there/z.png,1,1\n/there/z.png,2,1\n/there/z.png,3,1\n/there/z.png,4,1\n");
  const Comparison comparison = compare_recorded("logo", oracle, {{"trak", method}});
  REQUIRE(comparison.views.size() == 1);
  const View& view = comparison.views[0];
  CHECK(view.draws == "recorded");
  CHECK(view.queries == 2);
  CHECK(view.left_out == 1);
  CHECK(!view.ceiling);
  CHECK(!view.repeatability);  // there is only one table of the oracle
  CHECK(value(comparison, "trak", "top1") == 0);
  CHECK(value(comparison, "trak", "mrr") == Approx(0.25));
  CHECK(value(comparison, "trak", "ndcg3_exp") == Approx(0.378481).epsilon(1e-5));
  CHECK(value(comparison, "trak", "ndcg3_lin") == Approx(0.722952).epsilon(1e-5));
  CHECK(value(comparison, "trak", "spearman") == Approx(0.3));
  CHECK(value(comparison, "trak", "cal_mse") == Approx(5.871429).epsilon(1e-5));
  CHECK(view.methods.at("trak").facts.fidelity == "recorded scores");
  CHECK(to_json(comparison)["views"][0]["methods"]["trak"]["device_seconds"].dump() != "0.0");
  CHECK(comparison_table(comparison, 120).find("recorded") != std::string::npos);
}

TEST_CASE("import: a table of class numbers that says their names goes with named tables and with numbered ones") {
  const Files files;
  const auto oracle = files.read("image,R1_Cls,R1_Name,R1_Sc,R2_Cls,R2_Name,R2_Sc\nx,1,1: big cat,5,0,0: car,1\n");
  CHECK(oracle.names == std::vector<std::string>{"car", "big cat"});
  const Comparison comparison = compare_recorded("logo", oracle,
                                                 {{"named", files.read("image_id,big_cat,car\nx,1,2\n")},
                                                  {"numbered", files.read("image,class_id,s\nx,0,1\nx,1,2\n")}});
  CHECK(value(comparison, "named", "top1") == 0);
  CHECK(value(comparison, "numbered", "top1") == 1);
  CHECK(comparison.views[0].methods.at("named").by_class.contains("big cat"));
}

TEST_CASE("import: what was exported comes back as it was, in our layout and in both published ones") {
  jobs::Plan plan = test::synthetic_plan({.groups = 4, .queries = 12, .timesteps = 4, .sets = {"generated", "real"}},
                                         {{"logo", "logo"}, {"weak", "guda"}});
  plan.groups = {"oil, on canvas", "b", "c", "d"};
  ResultsTable table = test::empty_table(plan);
  test::fill_fulls(table);
  test::fill_losses(table, "logo", [](auto q, auto k, auto) { return test::noise(1, q, k); });
  test::fill_losses(table, "weak", [](auto q, auto k, auto) { return test::noise(1, q, k) + test::noise(2, q, k); });
  const auto before = compare(table, plan, {});
  const Files files;
  export_csv(files.folder.path(), table, plan, before, {.sorted_layout = true, .canvas_layout = true});
  for (const char* layout : {"scores", "sorted", "canvas"}) {
    CAPTURE(layout);
    const auto again = read_scores_csv(files.folder.path() / (std::string(layout) + "_weak.csv"));
    jobs::Plan with = plan;
    ResultsTable more = table;
    add_recorded(with, more, "again", again);
    const auto after = compare(more, with, {});
    for (std::size_t v = 0; v < after.views.size(); ++v) {
      if (after.views[v].weighting != "elbo") continue;  // scores are written at ELBO weights
      for (const char* metric : {"top1", "mrr", "spearman", "pooled_r"}) {
        CAPTURE(metric);
        CHECK(after.views[v].methods.at("again").metrics.at(metric).estimate.value ==
              Approx(after.views[v].methods.at("weak").metrics.at(metric).estimate.value).epsilon(1e-3));
      }
    }
    CHECK_THROWS_WITH_AS(add_recorded(with, more, "again", again), doctest::Contains("another name"), Error);
  }
}

TEST_CASE("import: what is no table of scores is refused with file, line and reason") {
  const Files files;
  const auto refused = [&](const std::string& text, const char* why) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS((void)files.read(text), doctest::Contains(why), Error);
  };
  refused("", "no known header");
  refused("name,value\na,1\n", "image,class_id,SCORE");
  refused("image_id,a,b\nx,1\n", "scores.csv:2: 2 fields below a header of 3");
  refused("image_id,a,b\nx,1,nan\n", "no finite number");
  refused("image_id,a,b\nx,1,2,\n", "fields");
  refused("image_id,a,b\nx,1,2\nx,1,2\n", "scores.csv:3: 'x' has a second score of group 'a'");
  refused("image,class_id,s\nx,one,2\n", "'one' is no class number");
  refused("image_id,a,b\n", "0 images");
  refused("image_id,a,b\nx,\"1,2\n", "not closed");
  CHECK_THROWS_AS((void)read_scores_csv("/nowhere.csv"), IoError);

  const auto oracle = files.read("image_id,a,b\nx,1,2\n");
  CHECK_THROWS_WITH_AS((void)compare_recorded("logo", oracle, {{"m", files.read("image_id,a,c\nx,1,2\n")}}),
                       doctest::Contains("the scores of 'm' are of 2 groups"), Error);
  CHECK_THROWS_WITH_AS((void)compare_recorded("logo", oracle, {{"m", files.read("image_id,a,b\ny,1,2\n")}}),
                       doctest::Contains("no image of the scores of 'm'"), Error);
}
