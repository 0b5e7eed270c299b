#include "orchestrator/node_probe.hpp"

#include <doctest/doctest.h>

#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {
namespace {

NodeAnswer good(const std::string& host) {
  NodeAnswer a;
  a.host = host;
  a.isa = "avx2";
  a.cores = 4;
  a.time = 100;
  a.free_memory = 8e9;
  a.sees_folder = true;
  a.locks = "works";
  a.worker = "guda-worker 1";
  a.worker_ok = true;
  return a;
}

bool says(const std::vector<std::string>& lines, const std::string& part) {
  for (const auto& line : lines) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("node probe: answers survive mpirun's own chatter") {
  const std::string output = "mpirun: warning\n" + encode_answer(good("n1")) + "[n2] " + encode_answer(good("n2")) +
                             "guda-node-answer {broken\n";
  const auto answers = decode_answers(output);
  REQUIRE(answers.size() == 2);
  CHECK(answers[1].host == "n2");
  CHECK(answers[0].worker == "guda-worker 1");
}

TEST_CASE("node probe: equal, answering nodes are good news") {
  const NodeVerdict v = judge({good("n1"), good("n2.cluster")}, {"n1", "n2"}, 99, 101);
  CHECK(v.bad.empty());
  CHECK(v.notes.empty());
}

TEST_CASE(
    "node probe: a silent node, an unshared folder, a broken worker and a wrong clock each keep a run from starting") {
  CHECK(says(judge({good("n1")}, {"n1", "n2"}, 99, 101).bad, "1 of 2 nodes did not answer: n2"));
  NodeAnswer blind = good("n2"), broken = good("n3"), late = good("n4"), gpu = good("n5");
  blind.sees_folder = false;
  broken.worker_ok = false;
  broken.worker = "libtorch_cpu.so: cannot open shared object file";
  late.time = 500;
  gpu.gpu_error = "nvidia-smi did not answer";
  const NodeVerdict v = judge({good("n1"), blind, broken, late, gpu}, {"n1", "n2", "n3", "n4", "n5"}, 99, 101);
  CHECK(v.bad.size() == 4);
  CHECK(says(v.bad, "n2 does not see the run folder"));
  CHECK(says(v.bad, "n3: libtorch_cpu.so"));
  CHECK(says(v.bad, "the clock of n4 is 399 s off"));
  CHECK(says(v.bad, "n5: nvidia-smi"));
}

TEST_CASE("node probe: mixed processors, missing locks and a clock a few seconds off are worth a note only") {
  NodeAnswer other = good("n2");
  other.isa = "avx512";
  other.locks = "No locks available";
  other.time = 106;
  const NodeVerdict v = judge({good("n1"), other}, {"n1", "n2"}, 99, 101);
  CHECK(v.bad.empty());
  CHECK(v.notes.size() == 3);
}

TEST_CASE("node probe: this node sees the token that was written for it, and no other") {
  const test::ScratchFolder scratch;
  replace_file(scratch / token_file().c_str(), "abc", false);
  CHECK(probe_node(scratch.path(), "abc").sees_folder);
  CHECK_FALSE(probe_node(scratch.path(), "xyz").sees_folder);
}

}  // namespace guda::orchestrator
