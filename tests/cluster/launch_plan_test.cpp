#include "cluster/launch_plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "cluster/worker_share.hpp"
#include "common/error.hpp"

namespace guda::cluster {
namespace {

Topology nodes(Source source, std::vector<Node> list) {
  Topology t;
  t.source = source;
  t.nodes = std::move(list);
  t.own_cores = true;
  return t;
}

LaunchRequest wants(std::uint32_t workers, std::uint32_t threads = 1, std::string device = "cpu") {
  LaunchRequest r;
  r.workers = workers;
  r.threads = threads;
  r.device = std::move(device);
  return r;
}

std::string refusal(const Topology& t, const LaunchRequest& r) {
  try {
    static_cast<void>(plan_launch(t, r));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("launch plan: a small machine gives every core to a worker, a large pool keeps one for the coordinator") {
  CHECK(plan_launch(nodes(Source::machine, {{"laptop", 2, 0}}), wants(0)).workers == 2);
  CHECK(plan_launch(nodes(Source::machine, {{"laptop", 7, 0}}), wants(0, 2)).workers == 3);
  const LaunchPlan large = plan_launch(nodes(Source::slurm, {{"n1", 8, 0}, {"n2", 8, 0}}), wants(0));
  CHECK(large.coordinator_core);
  CHECK(large.nodes[0].workers == 7);
  CHECK(large.nodes[1].workers == 8);
}

TEST_CASE("launch plan: a worker per GPU, however many cores there are") {
  const LaunchPlan plan = plan_launch(nodes(Source::slurm, {{"n1", 32, 4}, {"n2", 32, 4}}), wants(0, 1, "cuda"));
  CHECK(plan.workers == 8);
  CHECK(plan.nodes[0].workers == 4);
  CHECK(refusal(nodes(Source::slurm, {{"n1", 32, 0}}), wants(0, 1, "cuda")).find("no GPU for a worker") == 0);
  CHECK(refusal(nodes(Source::slurm, {{"n1", 32, 4}}), wants(5, 1, "cuda")).find("5 workers do not fit") == 0);
}

TEST_CASE(
    "launch plan: several workers of a node never share cores, except where somebody asked for it on his own machine") {
  CHECK(refusal(nodes(Source::slurm, {{"n1", 4, 0}}), wants(5)).find("Cure:") != std::string::npos);
  CHECK(refusal(nodes(Source::hostfile, {{"n1", 4, 0}, {"n2", 4, 0}}), wants(3, 4)).find("do not fit") !=
        std::string::npos);
  const LaunchPlan asked = plan_launch(nodes(Source::machine, {{"laptop", 2, 0}}), wants(5));
  CHECK(asked.oversubscribed);
  CHECK_FALSE(asked.bind);
  CHECK(describe(asked).find("more threads than cores") != std::string::npos);
}

TEST_CASE("launch plan: fewer workers than room are spread over the nodes") {
  const LaunchPlan plan = plan_launch(nodes(Source::hostfile, {{"n1", 4, 0}, {"n2", 4, 0}, {"n3", 4, 0}}), wants(4));
  CHECK(plan.nodes[0].workers == 2);
  CHECK(plan.nodes[1].workers == 1);
  CHECK(plan.nodes[2].workers == 1);
}

TEST_CASE("launch plan: a thousand equal nodes are two lines") {
  std::vector<Node> many;
  for (int i = 1; i <= 1000; ++i) many.push_back({"n" + std::to_string(i), 16, 8});
  const std::string text = describe(plan_launch(nodes(Source::slurm, many), wants(0, 1, "cuda")));
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK(text.find("n2 .. n1000 (999 nodes): 8 workers on 16 cores, 8 GPUs") != std::string::npos);
}

TEST_CASE(
    "launch plan: mpirun gets the coordinator first and the hosts in order, the first with a slot for the "
    "coordinator") {
  const auto command = mpirun_command(plan_launch(nodes(Source::hostfile, {{"n1", 2, 0}, {"n2", 3, 0}}), wants(0)),
                                      "/opt/guda/bin", "/runs/r", "/runs/r/life.json");
  const auto has = [&](const std::vector<std::string>& part) {
    return std::search(command.begin(), command.end(), part.begin(), part.end()) != command.end();
  };
  CHECK(has({"-np", "1", "--host", "n1:3,n2:3", "/opt/guda/bin/guda-coordinator", "/runs/r", "/runs/r/life.json"}));
  CHECK(has({":", "-np", "5", "--host", "n1:3,n2:3", "/opt/guda/bin/guda-agent"}));
  CHECK(has({"--mca", "plm", "rsh"}));
  CHECK(has({"--enable-recovery"}));
}

TEST_CASE("launch plan: workers share a GPU only where that was asked for, and only when each GPU has one") {
  LaunchRequest request = wants(0, 1, "cuda");
  request.per_device = 2;
  const LaunchPlan plan = plan_launch(nodes(Source::slurm, {{"n1", 9, 2}}), request);
  CHECK(plan.workers == 4);
  const Json launch = to_json(plan);
  const std::vector<Gpu> gpus{{"GPU-a", "", "", "", 0}, {"GPU-b", "", "", "", 0}};
  std::vector<std::string> seen;
  for (std::uint32_t rank = 1; rank <= 4; ++rank) {
    const WorkerShare share = share_of(launch, rank, "n1", {}, gpus);
    seen.push_back(share.device + " " + share.gpu);
    CHECK(share.workers_here == 4);
  }
  CHECK(seen == std::vector<std::string>{"n1/gpu0.0 GPU-a", "n1/gpu1.0 GPU-b", "n1/gpu0.1 GPU-a", "n1/gpu1.1 GPU-b"});
}

TEST_CASE(
    "worker share: the agents of a node split its cores and GPUs without overlap, the coordinator's core is left "
    "alone") {
  LaunchPlan plan = plan_launch(nodes(Source::slurm, {{"n1", 9, 2}, {"n2", 9, 2}}), wants(0, 4, "cuda"));
  const Json launch = to_json(plan);
  const std::vector<int> mask{0, 1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<Gpu> gpus{{"GPU-a", "", "", "", 0}, {"GPU-b", "", "", "", 0}};
  REQUIRE(plan.nodes[0].workers == 2);
  const WorkerShare one = share_of(launch, 1, "n1", mask, gpus), two = share_of(launch, 2, "n1", mask, gpus),
                    three = share_of(launch, 3, "n2", mask, gpus);
  CHECK(one.cores == std::vector<int>{1, 2, 3, 4});
  CHECK(two.cores == std::vector<int>{5, 6, 7, 8});
  CHECK(three.cores == std::vector<int>{0, 1, 2, 3});
  CHECK(one.gpu == "GPU-a");
  CHECK(two.gpu == "GPU-b");
  CHECK(three.device == "n2/gpu0");
  CHECK_THROWS_AS(static_cast<void>(share_of(launch, 2, "n1", mask, {gpus[0]})), Error);
  CHECK_THROWS_AS(static_cast<void>(share_of(launch, 5, "n2", mask, gpus)), Error);
  // A node that shows fewer cores than promised: nobody is bound to a core that is not there.
  CHECK(share_of(launch, 2, "n1", {0, 1, 2, 3, 4}, gpus).cores.empty());
}

}  // namespace guda::cluster
