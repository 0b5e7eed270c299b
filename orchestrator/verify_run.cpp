#include "orchestrator/verify_run.hpp"

#include <fmt/format.h>

#include <optional>

#include "common/checksums.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/row_segment.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/garbage.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostOfAKind = 20;

class Verifier {
 public:
  Verifier(const RunLayout& run, bool live) : run_(run), live_(live) {}

  Verification verify() {
    const auto plan = attempt("plan", [&] { return load_plan(run_); });
    const auto journal = attempt("journal", [&] { return read_journal(run_.journal(), MissingLives::report); });
    if (journal) check_journal(*journal);
    if (!plan || !journal) return std::move(result_);
    const auto commits = commits_of(*journal);
    result_.commits = commits.size();
    const auto foreign = foreign_commits(*plan, commits);
    if (!foreign.empty()) {
      fault("plan",
            fmt::format(
                "the journal holds {} results of jobs that plan.json does not have: one of them is of another run",
                foreign.size()));
    }
    check_rows(*plan, commits);
    check_artifacts(*plan, commits);
    if (!journal->records.empty()) {
      for (std::string& text : compare_view(run_, *plan, commits, live_, kMostOfAKind))
        fault("results", std::move(text));
    }
    if (!live_) {
      for (const Garbage& item : find_leftovers(run_))
        note("leftovers", fmt::format("{} ({})", item.path.string(), item.why));
    }
    return std::move(result_);
  }

 private:
  template <class Read>
  std::optional<std::invoke_result_t<Read>> attempt(const char* area, const Read& read) {
    try {
      return read();
    } catch (const Error& e) {
      fault(area, e.what());
    } catch (const Json::exception& e) {
      fault(area, fmt::format("{} is damaged: {}", run_.plan().string(), e.what()));
    }
    return std::nullopt;
  }

  void fault(std::string area, std::string text) {
    result_.findings.push_back({Finding::Kind::fault, std::move(area), std::move(text)});
  }
  void note(std::string area, std::string text) {
    result_.findings.push_back({Finding::Kind::note, std::move(area), std::move(text)});
  }

  void check_journal(const JournalContent& journal) {
    result_.lives = journal.last_epoch;
    result_.records = journal.records.size();
    for (std::string& text : journal.faults()) fault("journal", std::move(text));
    for (const JournalDamage& d : journal.damage) {
      if (d.torn_tail && !live_)
        note("journal",
             fmt::format("{} ends with a record that a kill cut off (byte {}): normal", d.file.string(), d.offset));
      if (d.repaired) note("journal", fmt::format("{} at byte {}: {}; repaired", d.file.string(), d.offset, d.what));
    }
    if (!journal.stale.empty()) {
      note("journal", fmt::format("{} records were written by a life after its successor had begun; they do not count",
                                  journal.stale.size()));
    }
  }

  void check_rows(const jobs::Plan& plan, const std::map<Digest, Commit>& commits) {
    std::size_t bad = 0;
    for (const jobs::JobSpec& job : plan.jobs) {
      const auto commit = commits.find(job.digest);
      if (commit == commits.end() || (commit->second.rows.length == 0 && job.placements.empty())) continue;
      try {
        check_shape(plan, job, read_row_record(run_.rows(), commit->second.rows));
        ++result_.row_records;
        result_.bytes += commit->second.rows.length;
      } catch (const Error& e) {
        if (++bad <= kMostOfAKind) fault("rows", fmt::format("'{}': {}", job.label, e.what()));
      }
    }
    if (bad > kMostOfAKind) fault("rows", fmt::format("... and {} more", bad - kMostOfAKind));
  }

  void check_artifacts(const jobs::Plan& plan, const std::map<Digest, Commit>& commits) {
    std::size_t dropped = 0, unlisted = 0;
    for (const jobs::JobSpec& job : plan.jobs) {
      if (!leaves_artifact(job.work)) continue;
      const fs::path folder = run_.artifacts() / job.digest.hex;
      if (!fs::exists(folder)) {
        dropped += commits.contains(job.digest) ? 1 : 0;
        continue;
      }
      ++result_.artifacts;
      if (!fs::exists(folder / kChecksumsFile)) {
        ++unlisted;
        continue;
      }
      for (const auto& entry : fs::recursive_directory_iterator(folder))
        result_.bytes += entry.is_regular_file() ? entry.file_size() : 0;
      for (const std::string& text : check_checksums(folder))
        fault("artifacts", fmt::format("'{}': {}: {}", job.label, folder.string(), text));
    }
    if (dropped > 0)
      note("artifacts", fmt::format("{} finished artifacts are not on disk any more (retention.keep)", dropped));
    if (unlisted > 0)
      note("artifacts",
           fmt::format("{} artifacts have no checksums.json (made by an older guda): not checked", unlisted));
  }

  const RunLayout& run_;
  const bool live_;
  Verification result_;
};

}  // namespace

bool Verification::sound() const {
  for (const Finding& f : findings) {
    if (f.kind == Finding::Kind::fault) return false;
  }
  return true;
}

void to_json(Json& j, const Verification& v) {
  Json findings = Json::array();
  for (const Finding& f : v.findings) {
    findings.push_back(
        {{"kind", f.kind == Finding::Kind::fault ? "fault" : "note"}, {"area", f.area}, {"text", f.text}});
  }
  j = {{"schema", 1},          {"sound", v.sound()},   {"findings", findings},         {"lives", v.lives},
       {"records", v.records}, {"commits", v.commits}, {"row_records", v.row_records}, {"artifacts", v.artifacts},
       {"bytes", v.bytes}};
}

Verification verify_run(const RunLayout& run, bool live) { return Verifier(run, live).verify(); }

std::vector<std::string> repair_run(const RunLayout& run, RunLock& lock) {
  std::vector<std::string> did;
  const jobs::Plan plan = load_plan(run);
  for (const std::uint32_t epoch : read_journal(run.journal(), MissingLives::report).missing_lives) {
    JournalWriter(run.journal(), epoch, 0);  // an empty life in its place; the hole in the sequence stays visible
    did.push_back(fmt::format("put an empty journal in the place of life {}", epoch));
  }
  const JournalContent journal = read_journal(run.journal());
  auto commits = commits_of(journal);
  if (const auto foreign = foreign_commits(plan, commits); !foreign.empty()) {
    throw Error(fmt::format(
        "{} results in the journal are of jobs that plan.json does not have. Cure: put the plan.json of this run back "
        "(guda run EXPERIMENT --run-dir {} writes it).",
        foreign.size(), run.folder.string()));
  }
  std::vector<Digest> lost;
  for (const jobs::JobSpec& job : plan.jobs) {
    const fs::path folder = run.artifacts() / job.digest.hex;
    if (!leaves_artifact(job.work) || !fs::exists(folder / kChecksumsFile) || check_checksums(folder).empty()) continue;
    const fs::path aside = folder.string() + ".damaged";
    fs::remove_all(aside);
    fs::rename(folder, aside);
    if (commits.erase(job.digest) > 0) lost.push_back(job.digest);
    did.push_back(fmt::format("set the damaged artifact of '{}' aside ({})", job.label, aside.string()));
  }
  for (const Digest& job : rebuild_results(run, plan, commits, chaos_of(journal))) {
    commits.erase(job);
    lost.push_back(job);
  }
  did.push_back(fmt::format("made {} anew from journal and rows", run.results().string()));
  const auto bodies = repair_bodies(journal, lost, who_am_i());
  if (!bodies.empty()) {
    const std::uint32_t epoch = journal.last_epoch + 1;
    lock.set_epoch(epoch);
    JournalWriter writer(run.journal(), epoch, journal.next_sequence);
    writer.add(RecordType::life, {{"epoch", epoch},
                                  {"plan", plan.digest.hex},
                                  {"by", who_am_i()},
                                  {"kind", "repair"},
                                  {"time", unix_seconds()}});
    for (const Json& body : bodies) writer.add(RecordType::repair, body);
    writer.sync();
    did.push_back(fmt::format("noted {} faults of the journal in {}", journal.faults().size(),
                              journal_file(run.journal(), epoch).string()));
  }
  if (!lost.empty())
    did.push_back(fmt::format("{} jobs must be done again: type the same guda run command", lost.size()));
  const auto settled = settled_jobs(plan, commits, artifact_folders(run));
  if (std::find(settled.begin(), settled.end(), false) == settled.end()) {
    ResultsFile file = ResultsFile::open(run.results());
    write_main_scores(file, read_results(run.results()), plan);
    file.flush();
  }
  const auto leftovers = find_leftovers(run);
  for (const Garbage& item : leftovers) {
    if (item.path.extension() != ".damaged") remove_garbage(item);
  }
  return did;
}

}  // namespace guda::orchestrator
