#include "orchestrator/run_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "common/error.hpp"
#include "common/process.hpp"
#include "guda_build.hpp"
#include "jobs/experiment_json.hpp"
#include "orchestrator/run_history.hpp"

namespace guda::orchestrator {
namespace {

bool leaves_artifact(const jobs::Work& work) {
  return std::holds_alternative<jobs::TrainSpec>(work) || std::holds_alternative<jobs::UnlearnSpec>(work) ||
         std::holds_alternative<jobs::SampleSpec>(work);
}

std::string row_key(const jobs::Placement& p) { return fmt::format("{}/{}/{}", p.method, p.group, p.block); }

/// How many jobs fill each (method, group, block) of results.h5.
std::map<std::string, std::uint32_t> expected_rows(const jobs::Plan& plan) {
  std::map<std::string, std::uint32_t> expected;
  for (const jobs::JobSpec& job : plan.jobs) {
    for (const jobs::Placement& p : job.placements) ++expected[row_key(p)];
  }
  return expected;
}

void place_rows(ResultsFile& results, const jobs::Plan& plan, const jobs::JobSpec& job, const RowRecord& record,
                std::map<std::string, std::uint32_t>& open_rows) {
  for (const jobs::Placement& p : job.placements) {
    if (!record.losses.empty()) {
      results.write_losses(p.method, p.group, p.query, p.slot, record.rows, record.columns, record.losses);
      if (--open_rows.at(row_key(p)) == 0) results.mark_done(p.method, p.group, p.block);
    } else {
      const std::uint32_t count = plan.blocks.at(p.block).count;
      const std::span<const double> rows(record.scores.data() + std::size_t{p.slot} * record.columns, std::size_t{count} * record.columns);
      results.write_scores(p.method, p.query, count, record.columns, rows, {});
      if (--open_rows.at(row_key(p)) == 0) results.mark_all_groups_done(p.method, p.block);
    }
  }
}

/// A record must have the shape that the plan gives its job; anything else would land on other queries.
void check_shape(const jobs::Plan& plan, const jobs::JobSpec& job, const RowRecord& record) {
  std::uint32_t rows = 0, columns = 0;
  if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work)) {
    rows = score->count;
    columns = static_cast<std::uint32_t>(score->slots.size());
  } else if (std::holds_alternative<jobs::AttributeSpec>(job.work)) {
    for (const jobs::Placement& p : job.placements) rows = std::max(rows, p.slot + plan.blocks.at(p.block).count);
    columns = static_cast<std::uint32_t>(plan.groups.size());
  }
  if (record.job != job.digest || record.rows != rows || record.columns != columns) {
    throw IoError(fmt::format("rows of '{}' have shape {}x{} instead of {}x{} or belong to another job", job.label, record.rows,
                              record.columns, rows, columns));
  }
}

Json provenance(const jobs::Plan& plan) {
  return {{"format_version", kResultsFormat}, {"guda_version", kGudaVersion}, {"guda_commit", kGudaCommit}, {"compiler", kGudaCompiler},
          {"experiment", Json(plan.experiment)}, {"plan_digest", plan.digest.hex}, {"dataset_digest", plan.dataset.hex},
          {"seeds", plan.experiment.seeds}, {"numerics", {{"device", plan.numerics.device}, {"isa", plan.numerics.isa},
          {"dtype", plan.numerics.dtype}, {"threads", plan.numerics.threads}}}, {"host", host_name()},
          {"title", "guda: group attribution scores"}, {"Conventions", "guda-1"}};
}

}  // namespace

std::map<Digest, Commit> commits_of(const JournalContent& journal) {
  std::map<Digest, Commit> commits;
  for (const JournalRecord& record : journal.records) {
    if (record.type != RecordType::commit) continue;
    auto commit = record.body.get<Commit>();
    const Digest job = commit.job;
    // A job that ran again (its artifact had been removed) supersedes nothing: equal digest, equal bytes.
    commits.try_emplace(job, std::move(commit));
  }
  return commits;
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
    return std::any_of(folders.begin(), folders.end(), [&](const auto& folder) { return std::filesystem::exists(folder / job.digest.hex); });
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

std::vector<Digest> rebuild_results(const RunLayout& run, const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
                                    const std::string& chaos) {
  Json attributes = provenance(plan);
  if (!chaos.empty()) attributes["chaos"] = chaos;
  ResultsFile::create(run.results(), ResultsShape::of(plan), attributes);
  ResultsFile results = ResultsFile::open(run.results());
  auto open_rows = expected_rows(plan);
  std::vector<Digest> unreadable;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto commit = commits.find(job.digest);
    if (commit == commits.end() || commit->second.rows.length == 0) continue;
    try {
      const RowRecord record = read_row_record(run.rows(), commit->second.rows);
      check_shape(plan, job, record);
      place_rows(results, plan, job, record, open_rows);
    } catch (const IoError&) {
      unreadable.push_back(job.digest);
    }
  }
  results.flush();
  return unreadable;
}

RunStore::RunStore(RunLayout run, const jobs::Plan& plan, std::uint32_t epoch, const std::string& chaos) : run_(std::move(run)), plan_(plan) {
  const JournalContent journal = read_journal(run_.journal());
  commits_ = commits_of(journal);
  std::string all_chaos = chaos_of(journal);
  if (!chaos.empty() && !all_chaos.ends_with(chaos)) all_chaos += (all_chaos.empty() ? "" : " | ") + chaos;
  // Commits whose rows are damaged are work to be done again, never silently missing numbers.
  for (const Digest& lost : rebuild_results(run_, plan_, commits_, all_chaos)) commits_.erase(lost);
  settled_ = settled_jobs(plan_, commits_, artifact_folders(run_));
  history_ = history_of(journal, plan_);
  journal_.emplace(run_.journal(), epoch, journal.next_sequence);
  Json life{{"epoch", epoch}, {"host", host_name()}, {"boot", boot_id()}, {"plan", plan_.digest.hex}, {"version", kGudaVersion},
            {"commit", kGudaCommit}};
  if (!chaos.empty()) life["chaos"] = chaos;
  journal_->add(RecordType::life, life);
  journal_->sync();
  results_.emplace(ResultsFile::open(run_.results()));
  open_rows_ = expected_rows(plan_);
  for (const jobs::JobSpec& job : plan_.jobs) {
    if (!commits_.contains(job.digest)) continue;
    for (const jobs::Placement& p : job.placements) --open_rows_.at(row_key(p));
  }
}

void RunStore::add(JobIndex job, Commit commit, std::optional<RowRecord> rows) {
  const jobs::JobSpec& spec = plan_.jobs.at(job.value);
  if (rows) {
    check_shape(plan_, spec, *rows);
  } else if (!spec.placements.empty()) {
    throw IoError("job '" + spec.label + "' reported no rows");
  }
  journal_->add(RecordType::commit, commit);
  dirty_ = true;
  queued_.push_back({job, std::move(commit), std::move(rows)});
}

void RunStore::add_failure(const Json& body) {
  journal_->add(RecordType::failure, body);
  dirty_ = true;
}

void RunStore::add_fence(const Json& body) {
  journal_->add(RecordType::fence, body);
  dirty_ = true;
}

std::vector<JobIndex> RunStore::sync() {
  if (!dirty_) return {};
  journal_->sync();
  dirty_ = false;
  std::vector<JobIndex> done;
  for (Queued& q : queued_) {
    const jobs::JobSpec& spec = plan_.jobs[q.job.value];
    if (q.rows && !commits_.contains(spec.digest)) place_rows(*results_, plan_, spec, *q.rows, open_rows_);
    commits_.try_emplace(spec.digest, std::move(q.commit));
    done.push_back(q.job);
  }
  queued_.clear();
  return done;
}

void RunStore::end(const std::string& reason, int exit_code) {
  journal_->add(RecordType::end, {{"reason", reason}, {"exit_code", exit_code}});
  journal_->sync();
  results_->flush();
}

}  // namespace guda::orchestrator
