#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdio>
#include <iostream>

#include "cluster/launch_plan.hpp"
#include "common/cpu.hpp"
#include "common/files.hpp"
#include "common/process.hpp"
#include "guda_build.hpp"
#include "jobs/dataset.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"

namespace guda::cli {
namespace po = boost::program_options;

namespace {

struct Check {
  std::string name, finding, cure;
  bool ok = true;
};

/// First line that a program prints; throws when it can't run or fails.
std::string first_line(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw Error("cannot start a shell");
  std::string all;
  char buffer[512];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) all += buffer;
  const int status = ::pclose(pipe);
  if (status != 0) throw Error(command + " " + describe_wait_status(status) + ": " + all.substr(0, 400));
  return all.substr(0, all.find('\n'));
}

template <class Probe>
Check check(const std::string& name, const std::string& cure, Probe&& probe) {
  try {
    return {name, probe(), "", true};
  } catch (const std::exception& e) {
    return {name, e.what(), cure, false};
  }
}

std::string quoted(const std::filesystem::path& p) {
  std::string text = "'";
  for (const char c : p.string()) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

int doctor_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "print as JSON")("run-dir", po::value<std::string>()->default_value("."), "folder in which runs will be made");
  const auto values = parse({"guda doctor [options]", "Is this machine ready? One line a check, with its cure. Exit code 0 only when a run would start.",
                             "  guda doctor\n  guda doctor --run-dir /scratch/me\n"},
                            options, {}, arguments);
  if (!values) return kDone;
  const std::filesystem::path folder = (*values)["run-dir"].as<std::string>();
  const auto programs = executable_folder();
  std::vector<Check> checks;
  checks.push_back({"guda", fmt::format("{} ({})", kGudaVersion, kGudaCommit), "", true});
  checks.push_back(check("mpirun", "install Open MPI 4 (Debian: openmpi-bin) or load its module", [&] {
    const auto program = cluster::find_mpirun();
    return program.string() + ": " + first_line(quoted(program) + " --version");
  }));
  for (const char* program : {"guda-coordinator", "guda-agent"}) {
    checks.push_back(check(program, "build it: ./run build", [&] {
      if (!std::filesystem::exists(programs / program)) throw Error("not found beside guda in " + programs.string());
      return (programs / program).string();
    }));
  }
  checks.push_back(check("guda-worker", "build it with LibTorch: ./run build", [&] { return first_line(quoted(programs / "guda-worker") + " --version"); }));
  checks.push_back(check("launch", "see the message; in containers OMPI_MCA_btl_vader_single_copy_mechanism=none helps", [&] {
    const std::string command = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " + quoted(cluster::find_mpirun()) +
                                " --oversubscribe --bind-to none --mca plm isolated -np 2 /bin/true";
    first_line(command);
    return std::string("mpirun starts two ranks");
  }));
  checks.push_back({"cpu", fmt::format("{} usable cores, {}", usable_cores(), cpu_isa()), "", true});
  checks.push_back(check("data", "set GUDA_DATA_DIR to the folder that holds digits/", [&] {
    const jobs::Dataset digits = jobs::load_dataset({});
    return fmt::format("digits: {} images, content {}", digits.labels.size(), digits.content.brief());
  }));
  checks.push_back(check("run folder", "choose a folder that you may write, with room: --run-dir", [&] {
    const auto probe = folder / ".guda-doctor";
    replace_file(probe, "probe", true);
    std::filesystem::remove(probe);
    const auto space = std::filesystem::space(folder);
    if (space.available < 200'000'000) throw Error(fmt::format("only {:.0f} MB free in {}", space.available / 1e6, folder.string()));
    return fmt::format("{}: writable, {:.1f} GB free", std::filesystem::absolute(folder).lexically_normal().string(), space.available / 1e9);
  }));
  bool ready = true;
  for (const Check& c : checks) ready = ready && c.ok;
  if (values->contains("json")) {
    Json list = Json::array();
    for (const Check& c : checks) list.push_back({{"check", c.name}, {"ok", c.ok}, {"finding", c.finding}, {"cure", c.cure}});
    std::cout << Json{{"ready", ready}, {"checks", list}}.dump(2) << "\n";
  } else {
    for (const Check& c : checks) {
      std::cout << fmt::format("{:<4} {:<17} {}\n", c.ok ? "ok" : "BAD", c.name, c.finding);
      if (!c.ok) std::cout << fmt::format("     {:<17} cure: {}\n", "", c.cure);
    }
    std::cout << (ready ? "ready: a run would start here\n" : "not ready\n");
  }
  return ready ? kDone : kBadInput;
}

}  // namespace guda::cli
