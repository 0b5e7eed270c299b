// verify and gc: what lies in a run directory, is it whole, and what of it can go.
#include <fmt/format.h>

#include <iostream>
#include <optional>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/garbage.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_lock.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/verify_run.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

bool at_work(const RunLayout& run) {
  const auto owner = read_lock(run.lock());
  return owner && owner_alive(*owner);
}

std::string megabytes(std::uint64_t bytes) { return fmt::format("{:.1f} MB", double(bytes) / 1e6); }

}  // namespace

int verify_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("repair",
                        "mend what can be mended and mark what is lost to be done again; not while a run is at work")(
      "json", "print as JSON");
  const auto values = parse({"guda verify RUN [--repair] [--json]",
                             "Is everything there that the journal says is there? Checks plan, journal, rows, "
                             "artifacts and results.h5 byte by\n"
                             "byte. Exit: 0 sound (with --repair: sound now), 2 faults were found.",
                             "  guda verify runs/digits\n  guda verify runs/digits --json | jq .findings\n  guda "
                             "verify runs/digits --repair && guda run my.yaml\n"},
                            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{std::filesystem::absolute((*values)["run"].as<std::string>()).lexically_normal()};
  if (!std::filesystem::exists(run.folder)) throw Error(run.folder.string() + " does not exist");
  std::vector<std::string> did;
  if (values->contains("repair")) {
    RunLock lock(run.lock());
    did = repair_run(run, lock);
  }
  const Verification v = verify_run(run, at_work(run));
  if (values->contains("json")) {
    Json out(v);
    out["repaired"] = did;
    std::cout << out.dump(2) << "\n";
    return v.sound() ? kDone : kBadInput;
  }
  for (const std::string& line : did) std::cout << "repair: " << line << "\n";
  for (const Finding& f : v.findings)
    std::cout << fmt::format("{} {:<9} {}\n", f.kind == Finding::Kind::fault ? "FAULT" : "note ", f.area, f.text);
  std::cout << fmt::format("{}: {} lives, {} records, {} results, {} tables of rows, {} artifacts, {} read: {}\n",
                           run.folder.string(), v.lives, v.records, v.commits, v.row_records, v.artifacts,
                           megabytes(v.bytes), v.sound() ? "sound" : "FAULTS");
  if (!v.sound())
    std::cout << "Cure: guda verify " << run.folder.string()
              << " --repair, then the same guda run command does again what is lost\n";
  return v.sound() ? kDone : kBadInput;
}

int gc_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("dry-run", "say what would go, remove nothing; works while a run is at work")("json",
                                                                                                      "print as JSON");
  const auto values = parse({"guda gc RUN [--dry-run] [--json]",
                             "Removes what nobody needs: what retention.keep drops once everything that reads it is "
                             "done, artifacts of no job,\n"
                             "rows of no result, halves that a kill left behind. Exit: 0, or 2 while a run is at work.",
                             "  guda gc runs/digits --dry-run\n  guda gc runs/digits\n"},
                            options, {"run"}, arguments);
  if (!values) return kDone;
  const bool dry = values->contains("dry-run"), json = values->contains("json");
  const RunLayout run{std::filesystem::absolute((*values)["run"].as<std::string>()).lexically_normal()};
  const jobs::Plan plan = load_plan(run);
  std::optional<RunLock> lock;
  if (!dry) lock.emplace(run.lock());
  const JournalContent journal = read_journal(run.journal());
  auto garbage = find_garbage(run, plan, journal, settled_jobs(plan, commits_of(journal), artifact_folders(run)));
  if (dry && at_work(run))
    std::erase_if(garbage, [](const Garbage& item) { return item.path.extension() == ".partial"; });
  std::uint64_t bytes = 0;
  Json items = Json::array();
  for (const Garbage& item : garbage) {
    bytes += item.bytes;
    items.push_back({{"path", item.path.string()}, {"why", item.why}, {"bytes", item.bytes}});
    if (!json)
      std::cout << fmt::format("{:>10}  {}  ({})\n", megabytes(item.bytes),
                               item.path.lexically_relative(run.folder).string(), item.why);
    if (!dry) remove_garbage(item);
  }
  if (json) std::cout << Json{{"schema", 1}, {"dry_run", dry}, {"bytes", bytes}, {"items", items}}.dump(2) << "\n";
  else
    std::cout << fmt::format("{}: {} in {} items {}\n", run.folder.string(), megabytes(bytes), garbage.size(),
                             dry ? "would go" : "removed");
  return kDone;
}

}  // namespace guda::cli
