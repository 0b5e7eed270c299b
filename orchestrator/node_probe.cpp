#include "orchestrator/node_probe.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>

#include "cluster/gpus.hpp"
#include "common/capture.hpp"
#include "common/clock.hpp"
#include "common/cpu.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/memory.hpp"
#include "common/node_cache.hpp"
#include "common/nvml.hpp"
#include "common/process.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

constexpr const char* kMark = "guda-node-answer ";
constexpr double kSkewNote = 2, kSkewBad = 60;  // s; a stale lock is taken over after 5 min of silence

std::string lock_state(const fs::path& folder) {
  const fs::path file = folder / (".guda-lock-probe-" + host_name());
  try {
    const Fd fd = open_file(file, O_RDWR | O_CREAT, 0600);
    const int result = ::flock(fd.get(), LOCK_EX | LOCK_NB);
    const int code = errno;
    fs::remove(file);
    return result == 0 ? "works" : std::strerror(code);
  } catch (const Error& e) {
    return e.what();
  }
}

std::string nccl_version() {
  void* library = ::dlopen((executable_folder() / "../lib/guda/libnccl.so.2").c_str(), RTLD_LAZY);
  if (library == nullptr) library = ::dlopen("libnccl.so.2", RTLD_LAZY);
  if (library == nullptr) return "";
  const auto get = reinterpret_cast<int (*)(int*)>(::dlsym(library, "ncclGetVersion"));
  int version = 0;
  if (get == nullptr || get(&version) != 0) return "";
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

}  // namespace

std::string token_file() { return ".guda-doctor-token"; }

NodeAnswer probe_node(const fs::path& folder, const std::string& token) {
  NodeAnswer a;
  a.time = unix_seconds();
  a.host = host_name();
  a.isa = cpu_isa();
  a.cores = usable_cores();
  a.free_memory = free_memory();
  a.node_cache = node_cache_place("", 0, folder).why;
  try {
    a.sees_folder = read_file(folder / token_file()) == token;
  } catch (const std::exception&) {
    a.sees_folder = false;
  }
  a.locks = a.sees_folder ? lock_state(folder) : "not tried";
  try {
    a.worker = first_line_of({(executable_folder() / "guda-worker").string(), "--version"}, 120);
    a.worker_ok = true;
  } catch (const Error& e) {
    a.worker = e.what();
  }
  std::vector<std::string> uuids;
  try {
    for (const cluster::Gpu& gpu : cluster::visible_gpus()) {
      uuids.push_back(gpu.uuid);
      a.gpus.push_back(
          fmt::format("{} {:.0f} GB, driver {}", gpu.model, double(gpu.memory) / (1ULL << 30), gpu.driver));
    }
  } catch (const Error& e) {
    a.gpu_error = e.what();
  }
  if (!a.gpus.empty()) a.nccl = nccl_version();
  if (!a.gpus.empty()) {
    const Nvml nvml;
    for (const std::string& uuid : uuids) {
      if (const auto errors = nvml.uncorrected_errors(uuid); errors && *errors > 0)
        a.gpu_errors.push_back(
            fmt::format("{} has {} uncorrected memory errors since the driver was loaded", uuid, *errors));
    }
  }
  return a;
}

std::string encode_answer(const NodeAnswer& a) {
  return kMark +
         Json{{"host", a.host},
              {"isa", a.isa},
              {"cores", a.cores},
              {"time", a.time},
              {"free_memory", a.free_memory},
              {"sees_folder", a.sees_folder},
              {"locks", a.locks},
              {"worker", a.worker},
              {"worker_ok", a.worker_ok},
              {"gpus", a.gpus},
              {"gpu_error", a.gpu_error},
              {"nccl", a.nccl},
              {"node_cache", a.node_cache},
              {"gpu_errors", a.gpu_errors}}
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

std::vector<NodeAnswer> decode_answers(const std::string& output) {
  std::vector<NodeAnswer> answers;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(kMark);
    if (at == std::string::npos) continue;
    const Json j = Json::parse(line.substr(at + std::strlen(kMark)), nullptr, false);
    if (j.is_discarded()) continue;
    NodeAnswer a;
    j.at("host").get_to(a.host);
    j.at("isa").get_to(a.isa);
    j.at("cores").get_to(a.cores);
    j.at("time").get_to(a.time);
    j.at("free_memory").get_to(a.free_memory);
    j.at("sees_folder").get_to(a.sees_folder);
    j.at("locks").get_to(a.locks);
    j.at("worker").get_to(a.worker);
    j.at("worker_ok").get_to(a.worker_ok);
    j.at("gpus").get_to(a.gpus);
    j.at("gpu_error").get_to(a.gpu_error);
    j.at("nccl").get_to(a.nccl);
    j.at("node_cache").get_to(a.node_cache);
    j.at("gpu_errors").get_to(a.gpu_errors);
    answers.push_back(std::move(a));
  }
  return answers;
}

NodeVerdict judge(const std::vector<NodeAnswer>& answers, const std::vector<std::string>& nodes, double asked,
                  double answered) {
  NodeVerdict v;
  if (answers.size() < nodes.size()) {
    std::vector<std::string> silent;
    for (const std::string& node : nodes) {
      const std::string brief = node.substr(0, node.find('.'));
      if (std::none_of(answers.begin(), answers.end(),
                       [&](const NodeAnswer& a) { return a.host.substr(0, a.host.find('.')) == brief; }))
        silent.push_back(node);
    }
    v.bad.push_back(fmt::format("{} of {} nodes did not answer{}{}", nodes.size() - answers.size(), nodes.size(),
                                silent.empty() ? "" : ": ", fmt::join(silent, ", ")));
  }
  std::set<std::string> isas, workers;
  for (const NodeAnswer& a : answers) {
    if (!a.sees_folder)
      v.bad.push_back(a.host + " does not see the run folder: put it on a file system that all nodes share");
    if (!a.worker_ok) v.bad.push_back(a.host + ": " + a.worker);
    if (!a.gpu_error.empty()) v.bad.push_back(a.host + ": " + a.gpu_error);
    for (const std::string& errors : a.gpu_errors)
      v.notes.push_back(fmt::format("{}: {}. If they grow, have it reset or replaced", a.host, errors));
    if (a.sees_folder && a.locks != "works") {
      v.notes.push_back(
          fmt::format("{}: the file system has no locks ({}): guda uses its lock file instead; readers of results.h5 "
                      "set HDF5_USE_FILE_LOCKING=FALSE",
                      a.host, a.locks));
    }
    const double skew = a.time < asked ? asked - a.time : a.time > answered ? a.time - answered : 0;
    if (skew > kSkewBad)
      v.bad.push_back(fmt::format(
          "the clock of {} is {:.0f} s off: a live owner may be taken for dead. Start its time service", a.host, skew));
    else if (skew > kSkewNote) v.notes.push_back(fmt::format("the clock of {} is {:.0f} s off", a.host, skew));
    isas.insert(a.isa);
    if (a.worker_ok) workers.insert(a.worker);
  }
  if (isas.size() > 1) {
    v.notes.push_back(
        fmt::format("nodes differ in their instruction sets ({}): results agree within rounding, not bit for bit. "
                    "--constraint chooses one kind",
                    fmt::join(isas, ", ")));
  }
  if (workers.size() > 1) v.bad.push_back(fmt::format("nodes have different workers: {}", fmt::join(workers, "; ")));
  return v;
}

}  // namespace guda::orchestrator
