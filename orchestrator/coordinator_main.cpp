// guda-coordinator RUN_DIR LIFE_FILE: MPI rank 0. Started by `guda run` through mpirun, never by hand.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include "common/files.hpp"
#include "common/mpi/mpi_channel.hpp"
#include "common/process.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/serve.hpp"

namespace {

std::atomic<int> stop_requested = 0;

/// mpirun may be killed with -9: then nobody would end us. Runs beside the event loop, which may be waiting on a disk.
void watch_parent(pid_t parent) {
  std::thread([parent] {
    while (::getppid() == parent) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ::_exit(75);
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGUSR2, [](int) { stop_requested = 1; });
  std::signal(SIGTERM, [](int) { stop_requested = 1; });
  const pid_t parent = ::getppid();
  guda::die_with_parent();
  try {
    guda::MpiSession session(&argc, &argv);
    if (argc != 3) {
      std::fprintf(stderr, "usage: guda-coordinator RUN_DIR LIFE_FILE (started by guda run)\n");
      return 2;
    }
    watch_parent(parent);
    guda::MpiChannel channel;
    const guda::orchestrator::RunLayout run{argv[1]};
    const guda::jobs::Plan plan = guda::jobs::plan_from_json(guda::Json::parse(guda::read_file(run.plan())));
    const auto life = guda::orchestrator::life_from_json(guda::Json::parse(guda::read_file(argv[2])));
    return guda::orchestrator::serve(channel, run, plan, life, stop_requested);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "guda-coordinator: %s\n", e.what());
    std::fflush(stderr);
    guda::MpiSession::leave(1);
  }
}
