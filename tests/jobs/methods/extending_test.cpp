// The worked example of docs/extending.md, as it stands there: what it plans.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "extending/inner_product_plan.hpp"
#include "tests/support/fake_plan.hpp"

using namespace guda;
using namespace guda::jobs;

TEST_CASE(
    "docs/extending.md: the example plans features of every training item and query and one solve per query set") {
  Experiment e = test::small_experiment();
  MethodConfig mine, trak;
  mine.name = mine.method = "inner_product";
  trak.name = trak.method = "trak";
  mine.gradients.block = trak.gradients.block = 500;
  const Dataset data = load_dataset(e.dataset);
  PlanBuilder builder(e, data, {});
  plan_inner_product(builder, mine, 0);
  plan_gradients(builder, trak, 0);  // the same gradients: shared
  const Plan plan = std::move(builder).finish();
  std::map<std::string, int> count;
  std::size_t items = 0, queries = 0;
  for (const JobSpec& job : plan.jobs) {
    ++count[kind_of(job.work)];
    if (const auto* features = std::get_if<FeaturesSpec>(&job.work))
      (features->queries.hex.empty() ? items : queries) += features->count;
    if (const auto* attribute = std::get_if<AttributeSpec>(&job.work); attribute && attribute->method == mine.method) {
      CHECK(attribute->item_features.size() == (data.train.size() + 499) / 500);
      CHECK_FALSE(attribute->query_features.empty());
    }
  }
  CHECK(items == data.train.size());
  CHECK(queries == e.queries[0].count);
  CHECK(count["attribute"] == 2);
  CHECK(count["train"] == 1);
}
