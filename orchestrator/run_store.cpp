#include "orchestrator/run_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/process.hpp"
#include "guda_build.hpp"
#include "orchestrator/duplicates.hpp"
#include "orchestrator/run_history.hpp"
#include "orchestrator/run_lock.hpp"

namespace guda::orchestrator {
namespace {}  // namespace

bool leaves_artifact(const jobs::Work& work) {
  return jobs::leaves_weights(work) || std::holds_alternative<jobs::SampleSpec>(work) ||
         std::holds_alternative<jobs::FeaturesSpec>(work);
}

std::map<Digest, Commit> commits_of(const JournalContent& journal) {
  std::map<Digest, Commit> commits;
  for (const JournalRecord& record : journal.records) {
    if (record.type == RecordType::repair) {
      for (const Json& lost : record.body.value("lost", Json::array()))
        commits.erase(Digest{lost.is_string() ? lost.get<std::string>() : ""});
    }
    if (record.type != RecordType::commit) continue;
    auto commit = record.body.get<Commit>();
    const Digest job = commit.job;
    commits.try_emplace(job, std::move(commit));
  }
  return commits;
}

std::vector<Digest> foreign_commits(const jobs::Plan& plan, const std::map<Digest, Commit>& commits) {
  std::unordered_set<Digest> known;
  for (const jobs::JobSpec& job : plan.jobs) known.insert(job.digest);
  std::vector<Digest> foreign;
  for (const auto& [job, commit] : commits) {
    if (!known.contains(job)) foreign.push_back(job);
  }
  return foreign;
}

std::vector<std::filesystem::path> artifact_folders(const RunLayout& run) {
  std::vector<std::filesystem::path> folders{run.artifacts()};
  const auto reuse = run.folder / "reuse.json";
  if (std::filesystem::exists(reuse)) {
    for (const auto& folder : Json::parse(read_file(reuse))) folders.emplace_back(folder.get<std::string>());
  }
  return folders;
}

std::vector<bool> settled_jobs(const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
                               const std::vector<std::filesystem::path>& folders) {
  std::unordered_map<Digest, std::size_t> index;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) index[plan.jobs[i].digest] = i;
  const auto present = [&](const jobs::JobSpec& job) {
    return std::any_of(folders.begin(), folders.end(),
                       [&](const auto& folder) { return std::filesystem::exists(folder / job.digest.hex); });
  };
  std::vector<bool> settled(plan.jobs.size()), needed(plan.jobs.size());
  for (std::size_t i = plan.jobs.size(); i-- > 0;) {
    const jobs::JobSpec& job = plan.jobs[i];
    if (leaves_artifact(job.work)) {
      // An artifact in place is as good as a commit: its name is its content, published by rename (reused runs have no
      // commit here). A committed job whose artifact was removed is open again only when somebody needs it.
      const bool there = present(job);
      settled[i] = there || (commits.contains(job.digest) && !needed[i]);
    } else {
      settled[i] = commits.contains(job.digest);
    }
    if (settled[i]) continue;
    for (const Digest& input : job.inputs) needed[index.at(input)] = true;
  }
  return settled;
}

std::string chaos_of(const JournalContent& journal) {
  std::string all;
  for (const JournalRecord& record : journal.records) {
    if (record.type != RecordType::life || !record.body.contains("chaos")) continue;
    const auto chaos = record.body.at("chaos").get<std::string>();
    if (!all.ends_with(chaos)) all += (all.empty() ? "" : " | ") + chaos;
  }
  return all;
}

RunStore::RunStore(RunLayout run, const jobs::Plan& plan, std::uint32_t epoch, const std::string& chaos,
                   double patience)
    : run_(std::move(run)), plan_(plan), epoch_(epoch) {
  const JournalContent journal = read_journal(run_.journal());
  commits_ = commits_of(journal);
  if (const auto foreign = foreign_commits(plan_, commits_); !foreign.empty()) {
    throw Error(fmt::format(
        "{}: the journal holds {} results of jobs that plan.json does not have: one of them is of another run. Cure: "
        "put the right plan.json back, or guda run EXPERIMENT --run-dir with the experiment that it was made for.",
        run_.folder.string(), foreign.size()));
  }
  // Commits whose rows are damaged are work to be done again, never silently missing numbers.
  std::vector<Digest> unreadable;
  std::string all_chaos = chaos_of(journal);
  if (!chaos.empty() && !all_chaos.ends_with(chaos)) all_chaos += (all_chaos.empty() ? "" : " | ") + chaos;
  view_.emplace(run_, plan_, commits_, all_chaos, patience, unreadable);
  for (const Digest& job : unreadable) commits_.erase(job);
  settled_ = settled_jobs(plan_, commits_, artifact_folders(run_));
  history_ = history_of(journal, plan_);

  started_ = journal.records.empty() ? unix_seconds() : journal.records.front().body.value("time", 0.0);
  for (const auto& [job, commit] : commits_) last_commit_ = std::max(last_commit_, commit.time);

  journal_.emplace(run_.journal(), epoch, journal.next_sequence);
  Json life{{"epoch", epoch},          {"host", host_name()},   {"boot", boot_id()},     {"plan", plan_.digest.hex},
            {"version", kGudaVersion}, {"commit", kGudaCommit}, {"time", unix_seconds()}};
  if (!chaos.empty()) life["chaos"] = chaos;
  journal_->add(RecordType::life, life);
  for (const Json& body : repair_bodies(journal, unreadable, fmt::format("life {}", epoch)))
    journal_->add(RecordType::repair, body);
  journal_->sync();
  for (std::string& fault : journal.faults())
    notes_.push_back("damaged journal, its lost commits are run again: " + std::move(fault));
  if (!unreadable.empty())
    notes_.push_back(
        fmt::format("the rows of {} finished jobs can't be read any more: they are run again", unreadable.size()));
}

void RunStore::add(JobIndex job, Commit commit, std::optional<RowRecord> rows) {
  const jobs::JobSpec& spec = plan_.jobs.at(job.value);
  if (rows) {
    check_shape(plan_, spec, *rows);
  } else if (!spec.placements.empty()) {
    throw IoError("job '" + spec.label + "' reported no rows");
  }
  commit.time = unix_seconds();
  if (commits_.contains(spec.digest))
    late_.push_back({job, commit.attempt, commit.worker, commit.rows, commit.metrics, "repeated"});
  journal_->add(RecordType::commit, commit);
  dirty_ = true;
  queued_.push_back({job, std::move(commit), std::move(rows)});
}

void RunStore::add_lease(JobIndex job, std::uint32_t attempt, const std::string& worker, const std::string& device,
                         const std::vector<std::string>& members) {
  Json body{{"job", plan_.jobs.at(job.value).digest.hex},
            {"attempt", attempt},
            {"worker", worker},
            {"device", device},
            {"time", unix_seconds()}};
  if (!members.empty()) body["members"] = members;
  journal_->add(RecordType::lease, body);
}

void RunStore::add_late(JobIndex job, std::uint32_t attempt, const std::string& worker, const RowsRef& rows,
                        const Json& metrics) {
  if (job.value >= plan_.jobs.size()) return;
  Late late{job, attempt, worker, rows, metrics};
  if (commits_.contains(plan_.jobs[job.value].digest)) record_duplicate(late);
  else late_.push_back(std::move(late));
}

void RunStore::record_duplicate(const Late& late) {
  const jobs::JobSpec& spec = plan_.jobs[late.job.value];
  const DuplicateVerdict verdict = compare_duplicate(run_, commits_.at(spec.digest), late.rows, late.metrics);
  journal_->add(RecordType::duplicate, {{"job", spec.digest.hex},
                                        {"label", spec.label},
                                        {"attempt", late.attempt},
                                        {"worker", late.worker},
                                        {"why", late.why},
                                        {"verdict", verdict.name()},
                                        {"detail", clip_text(verdict.detail)},
                                        {"max_difference", verdict.max_difference},
                                        {"time", unix_seconds()}});
  dirty_ = true;
  if (verdict.kind == DuplicateVerdict::Kind::different && is_deterministic(plan_.numerics)) {
    notes_.push_back(fmt::format(
        "two attempts of '{}' gave different results ({}) although they must not: suspect the hardware of {}",
        spec.label, verdict.detail, late.worker));
  }
}

void RunStore::add_failure(Json body) {
  body["time"] = unix_seconds();
  journal_->add(RecordType::failure, body);
  dirty_ = true;
}

void RunStore::add_fence(Json body) {
  body["time"] = unix_seconds();
  journal_->add(RecordType::fence, body);
  dirty_ = true;
}

void RunStore::check_owner() const {
  const auto owner = read_lock(run_.lock());
  if ((owner && owner->epoch > epoch_) || std::filesystem::exists(journal_file(run_.journal(), epoch_ + 1))) {
    throw Error(fmt::format("life {} has taken over this run directory: life {} leaves before it commits more",
                            owner && owner->epoch > epoch_ ? owner->epoch : epoch_ + 1, epoch_));
  }
}

std::vector<JobIndex> RunStore::sync() {
  if (!dirty_) return {};
  check_owner();
  journal_->sync();
  dirty_ = false;
  std::vector<JobIndex> done;
  for (Queued& q : queued_) {
    last_commit_ = std::max(last_commit_, q.commit.time);
    const jobs::JobSpec& spec = plan_.jobs[q.job.value];
    if (q.rows && !commits_.contains(spec.digest)) view_->place(spec, *q.rows);
    commits_.try_emplace(spec.digest, std::move(q.commit));
    done.push_back(q.job);
  }
  queued_.clear();
  std::vector<Late> open;
  for (Late& late : late_) {
    if (commits_.contains(plan_.jobs[late.job.value].digest)) record_duplicate(late);
    else open.push_back(std::move(late));
  }
  late_ = std::move(open);
  return done;
}

std::uint64_t RunStore::journal_bytes() const {
  return std::filesystem::file_size(journal_file(run_.journal(), epoch_));
}

void RunStore::end(const std::string& reason, int exit_code) {
  journal_->add(RecordType::end, {{"reason", reason}, {"exit_code", exit_code}, {"time", unix_seconds()}});
  check_owner();
  journal_->sync();
  view_->flush();
}

}  // namespace guda::orchestrator
