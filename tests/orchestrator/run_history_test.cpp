#include "orchestrator/run_history.hpp"

#include <doctest/doctest.h>

#include "tests/support/fake_plan.hpp"

namespace guda::orchestrator {

TEST_CASE(
    "history: failures, fences and costs of earlier lives are read back, in order, and what a person forgave is not") {
  const jobs::Plan plan = test::small_plan();
  const auto digest = [&](std::size_t i) { return plan.jobs.at(i).digest.hex; };
  JournalContent journal;
  const auto add = [&](RecordType type, Json body) {
    journal.records.push_back({type, journal.records.size(), std::move(body)});
  };
  add(RecordType::failure, {{"job", digest(0)},
                            {"attempt", 1},
                            {"device", "n/cpu1"},
                            {"error", "i/o"},
                            {"text", "full"},
                            {"quarantined", false}});
  add(RecordType::failure, {{"job", digest(1)},
                            {"attempt", 1},
                            {"device", "n/cpu1"},
                            {"error", "crash"},
                            {"text", "x"},
                            {"quarantined", true}});
  add(RecordType::failure, {{"job", digest(1)}, {"forgiven", true}});
  add(RecordType::failure, {{"job", digest(2)},
                            {"attempt", 4},
                            {"device", "n/cpu2"},
                            {"error", "out of memory"},
                            {"text", "y"},
                            {"quarantined", true}});
  add(RecordType::failure, {{"job", digest(2)}, {"late", true}, {"attempt", 3}});
  add(RecordType::failure, {{"job", "of another plan"}, {"attempt", 1}, {"error", "crash"}});
  add(RecordType::fence, {{"device", "n/cpu1"}, {"fenced", true}});
  add(RecordType::fence, {{"device", "n/cpu2"}, {"fenced", true}});
  add(RecordType::fence, {{"node", "m"}, {"fenced", true}});
  add(RecordType::fence, {{"device", "n/cpu1"}, {"fenced", false}});
  add(RecordType::commit, {{"job", digest(3)}, {"seconds", 2.5}});

  const History history = history_of(journal, plan);
  REQUIRE(history.failures.size() == 2);
  CHECK(history.failures[0].job == JobIndex(0));
  CHECK(history.failures[0].error == ErrorClass::io);
  CHECK_FALSE(history.failures[0].quarantined);
  CHECK(history.failures[1].job == JobIndex(2));
  CHECK(history.failures[1].attempt == 4);
  CHECK(history.failures[1].device == "n/cpu2");
  CHECK(history.failures[1].error == ErrorClass::out_of_memory);
  CHECK(history.failures[1].quarantined);
  CHECK(history.fenced_devices == std::vector<std::string>{"n/cpu2"});
  CHECK(history.fenced_nodes == std::vector<std::string>{"m"});
  REQUIRE(history.costs.size() == 1);
  CHECK(history.costs[0].measured == 2.5);
  CHECK(history.costs[0].predicted == plan.jobs[3].cost);
}

}  // namespace guda::orchestrator
