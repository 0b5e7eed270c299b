// guda-agent RUN_DIR LIFE_FILE: an MPI rank >= 1. Started by `guda run` through mpirun, never by hand.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "cluster/agent/agent.hpp"
#include "cluster/gpu_booking.hpp"
#include "cluster/worker_share.hpp"
#include "common/cpu.hpp"
#include "common/gang_memory.hpp"
#include "common/json.hpp"
#include "common/mpi/mpi_channel.hpp"
#include "common/process.hpp"

namespace {
std::atomic<int> terminate_requested = 0;
}

int main(int argc, char** argv) {
  // mpirun forwards the stop signal to every rank; only the coordinator acts on it.
  std::signal(SIGUSR2, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, [](int) { terminate_requested = 1; });
  const pid_t parent = ::getppid();
  guda::die_with_parent();  // mpirun may be killed with -9 while we are stopped
  if (::getppid() != parent) return 75;
  try {
    guda::MpiSession session(&argc, &argv);
    if (argc != 3) {
      std::fprintf(stderr, "usage: guda-agent RUN_DIR LIFE_FILE (started by guda run)\n");
      return 2;
    }
    guda::MpiChannel channel;
    const guda::Json life = guda::Json::parse(guda::read_file(argv[2]));
    const std::filesystem::path run = argv[1];
    const std::string rank = std::to_string(channel.rank());
    guda::cluster::AgentConfig config;
    config.worker.program = guda::executable_folder() / "guda-worker";
    config.worker.run_folder = run;
    config.worker.segment = life.at("epoch_name").get<std::string>() + "-" + rank + ".seg";
    config.worker.threads = life.at("threads").get<std::uint32_t>();
    config.worker.log = run / "logs" / ("rank-" + rank + ".log");
    config.objection = guda::cluster::isa_objection(life.at("isa").get<std::string>(), guda::cpu_isa());
    config.token = life.at("token").get<std::string>();
    guda::remove_gang_memory_of(run, life.at("epoch").get<std::uint32_t>());
    // Cores and GPUs of this node are split by the plan; the worker inherits what we are bound to.
    const guda::Json& launch = life.at("launch");
    const auto gpus = launch.at("device") == "cuda" ? guda::cluster::visible_gpus() : std::vector<guda::cluster::Gpu>{};
    const auto share =
        guda::cluster::share_of(launch, channel.rank(), guda::host_name(), guda::cluster::affinity_mask(), gpus);
    config.device = share.device;
    guda::cluster::GpuBooking booking;
    if (!share.gpu.empty()) {
      config.worker.environment.emplace_back("CUDA_VISIBLE_DEVICES", share.gpu);
      booking = guda::cluster::book_gpu(share.gpu, share.place, launch.value("per_device", 1U), run.string());
      if (config.objection.empty()) config.objection = booking.objection;
    }
    config.worker.neighbours = share.workers_here;
    if (!share.cores.empty()) guda::cluster::bind_to(share.cores);
    config.worker.name = config.device;
    config.worker.checkpoint_every = life.at("checkpoint_every").get<double>();
    config.beat_every = life.at("beat_every").get<double>();
    config.coordinator_lost_after = life.at("lost_after").get<double>();
    config.frozen_after = life.at("lost_after").get<double>();
    config.cancel_grace = life.at("cancel_grace").get<double>();
    config.chaos = guda::parse_chaos(life.at("chaos").get<std::string>());
    config.worker.chaos = config.chaos.text;
    if (!config.chaos.text.empty()) {
      const guda::Json plan =
          guda::Json::parse(guda::read_file(run / "plan.json"));  // named: at() of a temporary dangles
      for (const guda::Json& job : plan.at("jobs")) {
        config.labels.push_back(job.at("label").get<std::string>());
      }
    }
    if (!guda::cluster::run_agent(channel, config, terminate_requested)) guda::MpiSession::leave(75);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "guda-agent: %s\n", e.what());
    std::fflush(stderr);
    guda::MpiSession::leave(1);
  }
}
