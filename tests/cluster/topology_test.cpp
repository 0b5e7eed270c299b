#include "cluster/topology.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <map>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::cluster {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional<std::string>(at->second);
  };
}

std::string refusal(const auto& what) {
  try {
    static_cast<void>(what());
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("topology: an allocation has the cores and GPUs of its variables") {
  const auto e = environment({{"SLURM_JOB_ID", "17"},
                              {"SLURM_JOB_NODELIST", "a[1-2],b"},
                              {"SLURM_JOB_CPUS_PER_NODE", "32(x2),16"},
                              {"SLURM_GPUS_ON_NODE", "4"}});
  CHECK(in_slurm(e));
  const Topology t = slurm_allocation(e, 32);
  CHECK(t.source == Source::slurm);
  CHECK(t.job == "17");
  REQUIRE(t.nodes.size() == 3);
  CHECK(t.nodes[1].name == "a2");
  CHECK(t.nodes[2].cores == 16);
  CHECK(t.nodes[2].gpus == 4);
  CHECK(t.own_cores);
  // On a cluster that does not confine jobs we see every core of the node, also those of others.
  CHECK_FALSE(slurm_allocation(e, 128).own_cores);
}

TEST_CASE("topology: variables that contradict each other are refused with both named") {
  const auto wrong =
      environment({{"SLURM_JOB_ID", "17"}, {"SLURM_JOB_NODELIST", "a[1-3]"}, {"SLURM_JOB_CPUS_PER_NODE", "32(x2)"}});
  CHECK(refusal([&] {
          return slurm_allocation(wrong, 32);
        }).find("SLURM_JOB_CPUS_PER_NODE=32(x2) does not match the 3 nodes") == 0);
  const auto missing = environment({{"SLURM_JOB_ID", "17"}, {"SLURM_JOB_NODELIST", "a1"}});
  CHECK(refusal([&] { return slurm_allocation(missing, 32); }).find("Cure:") != std::string::npos);
  CHECK_FALSE(in_slurm(environment({})));
}

TEST_CASE("topology: a hostfile says cores and GPUs, and its faults are named with their line") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "hosts";
  const auto write = [&](const std::string& text) { std::ofstream(file) << text; };
  write("# ours\nn1 slots=4 gpus=2\n\nn2 cores=8  # more\nn3\n");
  const Topology t = read_hostfile(file);
  REQUIRE(t.nodes.size() == 3);
  CHECK(t.nodes[0].cores == 4);
  CHECK(t.nodes[0].gpus == 2);
  CHECK(t.nodes[1].cores == 8);
  CHECK(t.nodes[2].cores == 1);
  const std::pair<const char*, const char*> faults[] = {{"n1\nn1\n", ":2: host 'n1' is listed twice"},
                                                        {"n1 slots=many\n", ":1: 'slots=many' is not"},
                                                        {"n1 cpu=3\n", "'cpu' is not slots, cores or gpus"},
                                                        {"-oProxyCommand=x\n", "is no host name"},
                                                        {"\n# none\n", "names no host"},
                                                        {"n1 slots=0\n", "has no cores"}};
  for (const auto& [text, expected] : faults) {
    write(text);
    CHECK_MESSAGE(refusal([&] { return read_hostfile(file); }).find(expected) != std::string::npos, text);
  }
}

}  // namespace guda::cluster
