// guda: what a person types. No MPI, no LibTorch: starts in milliseconds on a login node.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "common/files.hpp"
#include "guda_build.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"

namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const guda::cli::Arguments&);
};

constexpr Command kCommands[] = {
    {"run", "run an experiment, or resume it: the same command goes on where the last one ended",
     &guda::cli::run_command},
    {"plan", "check an experiment and print its jobs and cost before anything is paid for", &guda::cli::plan_command},
    {"submit", "submit an experiment to Slurm: estimate, batch script, sbatch", &guda::cli::submit_command},
    {"status", "what a run is doing, live or dead", &guda::cli::status_command},
    {"explain", "why a job waits or failed: every attempt with worker, device, cause and log lines",
     &guda::cli::explain_command},
    {"stop", "stop a run so that it can be resumed: checkpoint, drain, or at once", &guda::cli::stop_command},
    {"retry", "another chance for jobs that were given up and devices that were fenced", &guda::cli::retry_command},
    {"verify", "is everything there that the journal says is there? Repairs on request", &guda::cli::verify_command},
    {"gc", "remove what nobody needs: dropped artifacts, orphans, halves", &guda::cli::gc_command},
    {"compare", "how well each method agrees with the LOGO oracle", &guda::cli::compare_command},
    {"evaluate", "are the scores right without the oracle? Datamodelling score, removal, self-influence",
     &guda::cli::evaluate_command},
    {"report", "write report.html again from what is there", &guda::cli::report_command},
    {"export", "write scores and comparison as CSV", &guda::cli::export_command},
    {"attribute", "who contributed to these pictures? Scores new images with a run's models",
     &guda::cli::attribute_command},
    {"doctor", "is this machine ready? One line a check, each with its cure", &guda::cli::doctor_command},
    {"bench-device", "what this machine's device gives, beside what it could give; guda plan uses it",
     &guda::cli::bench_device_command},
    {"simulate", "how a sweep would go on thousands of workers, by the real scheduler in virtual time",
     &guda::cli::simulate_command},
    {"requeue", "put the Slurm job of a run back into the queue (job.sbatch calls it)", &guda::cli::requeue_command},
    {"methods", "the attribution methods and unlearning operators", &guda::cli::methods_command},
    {"config-reference", "every key of the experiment file (docs/config.md)", &guda::cli::config_reference_command},
};

void print_help(std::FILE* out) {
  std::fprintf(out,
               "guda %s: how much did each group of training data contribute to an image of a diffusion model?\n\n"
               "usage: guda COMMAND [arguments]     guda COMMAND --help     guda --version\n\n",
               kGudaVersion);
  for (const Command& c : kCommands) std::fprintf(out, "  %-17s %s\n", c.name, c.summary);
  std::fprintf(out,
               "\nexamples:\n"
               "  guda run jobs/recipes/digits.yaml                 the embedded experiment, about three minutes\n"
               "  guda compare runs/digits                          the agreement table\n"
               "  guda attribute runs/digits mydigit.png            who contributed to this picture?\n"
               "exit codes: 0 done, 10 done with quarantined jobs, 75 stopped early (run again), 2 bad input, 1 "
               "internal error\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--version") {
    std::printf("guda %s (%s, %s)\n", kGudaVersion, kGudaCommit, kGudaCompiler);
    return 0;
  }
  if (name.empty() || name == "--help" || name == "-h" || name == "help") {
    print_help(name.empty() ? stderr : stdout);
    return name.empty() ? guda::cli::kBadInput : 0;
  }
  for (const Command& c : kCommands) {
    if (name != c.name) continue;
    try {
      return c.run(std::vector<std::string>(argv + 2, argv + argc));
    } catch (const guda::Error& e) {
      std::fprintf(stderr, "guda %s: %s\n", c.name, e.what());
      return e.error_class() == guda::ErrorClass::io ? guda::cli::kStoppedEarly : guda::cli::kBadInput;
    } catch (const std::filesystem::filesystem_error& e) {
      std::fprintf(stderr, "guda %s: %s%s\n", c.name, e.what(), guda::errno_cure(e.code().value()).c_str());
      return guda::cli::kStoppedEarly;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "guda %s: internal error: %s\n", c.name, e.what());
      return guda::cli::kInternal;
    }
  }
  std::fprintf(stderr, "guda: no command '%s'; guda --help lists them\n", name.c_str());
  return guda::cli::kBadInput;
}
