#include "orchestrator/attribution.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "common/npy.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/results_file.hpp"
#include "tests/orchestrator/synthetic_run.hpp"
#include "tests/support/fake_run.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

/// A finished extension of three groups and two images: of the first one group "1" is clearly the best; the best two
/// groups of the second one differ by less than their draws.
class Extension {
 public:
  Extension() {
    prepared.run = RunLayout{scratch.path()};
    prepared.method = "exact";
    prepared.planned.plan = test::synthetic_plan({.groups = 3, .queries = 2, .timesteps = 10, .draws = 4},
                                                 {{"logo", "logo"}, {"exact", "guda"}});
    table = test::empty_table(prepared.planned.plan);
    test::fill_fulls(table);
    test::fill_losses(table, "exact", [](std::size_t q, std::size_t k, std::size_t s) {
      const double clear[] = {0.0, 4.0, 1.0}, close[] = {2.00, 1.0, 2.02};
      return (q == 0 ? clear : close)[k] + 0.5 * test::noise(1, q, k, s);
    });
    request.images = {"clear.png", "close.png"};
  }
  void write(std::size_t blocks_done) {
    const jobs::Plan& plan = prepared.planned.plan;
    ResultsFile::create(prepared.run.results(), ResultsShape::of(plan), Json::object());
    ResultsFile file = ResultsFile::open(prepared.run.results());
    const auto slots = static_cast<std::uint32_t>(plan.slots.size());
    file.write_losses("full", 0, 0, 0, 2, slots, table.losses.at("full"));
    file.mark_done("full", 0, 0);
    for (std::uint32_t k = 0; k < blocks_done; ++k) {
      file.write_losses("exact", k, 0, 0, 2, slots,
                        std::span(table.losses.at("exact")).subspan(k * 2 * slots, 2 * slots));
      file.mark_done("exact", k, 0);
    }
    file.flush();
  }

  test::ScratchFolder scratch;
  PreparedAttribution prepared;
  AttributionRequest request;
  ResultsTable table;
};

}  // namespace

TEST_CASE("attribution: groups come in descending order, with standard errors, image by image") {
  Extension extension;
  extension.write(3);
  const auto images = read_attribution(extension.prepared, extension.request);
  REQUIRE(images.size() == 2);
  CHECK(images[0].image == "clear.png");
  REQUIRE(images[0].groups.size() == 3);
  CHECK(images[0].groups[0].group == "1");
  CHECK(images[0].groups[1].group == "2");
  CHECK(images[0].groups[2].group == "0");
  // Forty draws of weight 1/40 with deviation 0.5: 0.5 / sqrt(40) = 0.079.
  for (const auto& g : images[0].groups) CHECK(g.standard_error == doctest::Approx(0.079).epsilon(0.4));
  CHECK(images[0].groups[0].score == doctest::Approx(4.0).epsilon(0.1));
}

TEST_CASE(
    "attribution: undecided where the two best groups differ by less than two standard errors of their difference") {
  Extension extension;
  extension.write(3);
  const auto images = read_attribution(extension.prepared, extension.request);
  CHECK(!images[0].undecided);
  CHECK(images[1].undecided);
}

TEST_CASE("attribution: noise that two groups share does not make their order undecided") {
  Extension extension;
  test::fill_losses(extension.table, "exact", [](std::size_t q, std::size_t k, std::size_t s) {
    return 0.2 * static_cast<double>(k) +
           3 * test::noise(1, q, 0, s);  // each score is much less sure than the difference
  });
  extension.write(3);
  const auto images = read_attribution(extension.prepared, extension.request);
  CHECK(images[0].groups[0].group == "2");
  CHECK(images[0].groups[0].standard_error > 0.2);
  CHECK(!images[0].undecided);
}

TEST_CASE("attribution: an image that was not scored is an error that says where to look") {
  Extension extension;
  extension.write(2);
  CHECK_THROWS_WITH_AS(static_cast<void>(read_attribution(extension.prepared, extension.request)),
                       doctest::Contains("clear.png was not scored"), Error);
}

TEST_CASE("attribution: new images are scored on the whole grid, whatever slots the run drew") {
  jobs::Experiment e = test::small_experiment();
  e.queries.front().name = "generated";
  e.scoring.allocation = "adaptive";
  e.scoring.slots = 8;
  e.scoring.antithetic = true;
  const jobs::Plan plan = jobs::make_plan(e, jobs::load_dataset(e.dataset), {}, false, std::vector<double>{1, 2, 3});
  const test::FakeRun parent(plan);
  const auto image = parent.scratch.path() / "digit.npy";
  NpyArray pixels;
  pixels.shape = {1, 8, 8};
  pixels.values = std::vector<float>(64, 0.0F);
  replace_file(image, encode_npy(pixels));
  AttributionRequest request;
  request.images = {image};
  const PreparedAttribution prepared = prepare_attribution(parent.run, request);
  CHECK_FALSE(jobs::awaits_pilot(prepared.planned.plan));
  CHECK(prepared.planned.plan.slots.size() == 2 * 3 * 4 * 2);  // both draw sets, pairs on three timesteps
}
