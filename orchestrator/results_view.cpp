#include "orchestrator/results_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/process.hpp"
#include "guda_build.hpp"
#include "jobs/experiment_json.hpp"

namespace guda::orchestrator {
namespace {

std::string row_key(const jobs::Placement& p) { return fmt::format("{}/{}/{}", p.method, p.group, p.block); }

/// How many jobs fill each (method, group, block) of results.h5.
std::map<std::string, std::uint32_t> expected_rows(const jobs::Plan& plan) {
  std::map<std::string, std::uint32_t> expected;
  for (const jobs::JobSpec& job : plan.jobs) {
    for (const jobs::Placement& p : job.placements) ++expected[row_key(p)];
  }
  return expected;
}

Json provenance(const jobs::Plan& plan) {
  return {{"format_version", kResultsFormat},
          {"guda_version", kGudaVersion},
          {"guda_commit", kGudaCommit},
          {"compiler", kGudaCompiler},
          {"experiment", Json(plan.experiment)},
          {"plan_digest", plan.digest.hex},
          {"dataset_digest", plan.dataset.hex},
          {"seeds", plan.experiment.seeds},
          {"numerics",
           {{"device", plan.numerics.device},
            {"isa", plan.numerics.isa},
            {"dtype", plan.numerics.dtype},
            {"threads", plan.numerics.threads}}},
          {"host", host_name()},
          {"title", "guda: group attribution scores"},
          {"Conventions", "guda-1"}};
}

ResultsFile new_file(const RunLayout& run, const jobs::Plan& plan, const std::string& chaos) {
  Json attributes = provenance(plan);
  if (!chaos.empty()) attributes["chaos"] = chaos;
  ResultsFile::create(run.results(), ResultsShape::of(plan), attributes);
  return ResultsFile::open(run.results());
}

/// Rows of a job that are neighbours on the query axis too, as [first, last) of its rows.
std::vector<std::pair<std::uint32_t, std::uint32_t>> runs_of_rows(const jobs::JobSpec& job, std::uint32_t rows) {
  const auto& chosen = std::get<jobs::ScoreSpec>(job.work).chosen;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> runs;
  for (std::uint32_t r = 0; r < rows; ++r) {
    if (r > 0 && (chosen.empty() || chosen[r] == chosen[r - 1] + 1)) ++runs.back().second;
    else runs.emplace_back(r, r + 1);
  }
  return runs;
}

/// Whether the values of `job` in the table are, bit for bit, those of its record.
bool same_values(const ResultsTable& table, const jobs::Plan& plan, const jobs::JobSpec& job, const RowRecord& record) {
  const std::size_t slots = table.slots(), groups = table.groups();
  for (const jobs::Placement& p : job.placements) {
    if (!record.losses.empty()) {
      const auto& losses = table.losses.at(p.method);
      const std::size_t plane =
          losses.size() == table.queries() * slots ? 0 : std::size_t{p.group} * table.queries() * slots;
      const auto& score = std::get<jobs::ScoreSpec>(job.work);
      for (std::uint32_t r = 0; r < record.rows; ++r) {
        if (std::memcmp(&losses.at(plane + jobs::query_of_row(score, p, r) * slots + p.slot),
                        &record.losses[std::size_t{r} * record.columns], record.columns * sizeof(float)) != 0) {
          return false;
        }
      }
    } else {
      const std::size_t values = std::size_t{plan.blocks.at(p.block).count} * groups;
      if (std::memcmp(&table.scores.at(p.method).at(p.query * groups), &record.scores.at(std::size_t{p.slot} * groups),
                      values * sizeof(double)) != 0) {
        return false;
      }
    }
  }
  return true;
}

bool is_done(const ResultsTable& table, const jobs::Plan& plan, const jobs::Placement& p, bool all_groups) {
  const auto& status = table.status.at(p.method);
  const std::size_t blocks = plan.blocks.size();
  if (status.size() == blocks) return status[p.block] == kDone;
  if (!all_groups) return status.at(p.group * blocks + p.block) == kDone;
  for (std::size_t g = 0; g < table.groups(); ++g) {
    if (status.at(g * blocks + p.block) != kDone) return false;
  }
  return true;
}

}  // namespace

void check_shape(const jobs::Plan& plan, const jobs::JobSpec& job, const RowRecord& record) {
  std::uint32_t rows = 0, columns = 0;
  if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work)) {
    rows = score->count;
    columns = static_cast<std::uint32_t>(score->slots.size());
  } else if (jobs::leaves_scores(job.work)) {
    for (const jobs::Placement& p : job.placements) rows = std::max(rows, p.slot + plan.blocks.at(p.block).count);
    columns = static_cast<std::uint32_t>(plan.groups.size());
  }
  if (record.job != job.digest || record.rows != rows || record.columns != columns) {
    throw IoError(fmt::format("rows of '{}' have shape {}x{} instead of {}x{} or belong to another job", job.label,
                              record.rows, record.columns, rows, columns));
  }
}

ResultsView::ResultsView(const RunLayout& run, const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
                         const std::string& chaos, double patience, std::vector<Digest>& unreadable)
    : plan_(plan), file_(new_file(run, plan, chaos)), open_rows_(expected_rows(plan)) {
  std::vector<const jobs::JobSpec*> waiting;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto commit = commits.find(job.digest);
    if (commit != commits.end() && commit->second.rows.length > 0) waiting.push_back(&job);
  }
  const double give_up_at = steady_seconds() + patience;
  while (true) {
    std::vector<const jobs::JobSpec*> later;
    for (const jobs::JobSpec* job : waiting) {
      std::optional<RowRecord> record;
      try {
        record = read_row_record(run.rows(), commits.at(job->digest).rows);
        check_shape(plan, *job, *record);
      } catch (const Error&) {
        later.push_back(job);
        continue;
      }
      place(*job, *record);
    }
    waiting = std::move(later);
    if (waiting.empty() || steady_seconds() >= give_up_at) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  for (const jobs::JobSpec* job : waiting) unreadable.push_back(job->digest);
  file_.flush();
}

void ResultsView::place(const jobs::JobSpec& job, const RowRecord& record) {
  for (const jobs::Placement& p : job.placements) {
    if (!record.losses.empty()) {
      const auto& score = std::get<jobs::ScoreSpec>(job.work);
      for (const auto& [first, last] : runs_of_rows(job, record.rows)) {
        const std::span<const float> rows(record.losses.data() + std::size_t{first} * record.columns,
                                          std::size_t{last - first} * record.columns);
        file_.write_losses(p.method, p.group, jobs::query_of_row(score, p, first), p.slot, last - first, record.columns,
                           rows);
      }
      if (--open_rows_.at(row_key(p)) == 0) file_.mark_done(p.method, p.group, p.block);
    } else {
      const std::uint32_t count = plan_.blocks.at(p.block).count;
      const std::span<const double> rows(record.scores.data() + std::size_t{p.slot} * record.columns,
                                         std::size_t{count} * record.columns);
      file_.write_scores(p.method, p.query, count, record.columns, rows, {});
      if (--open_rows_.at(row_key(p)) == 0) file_.mark_all_groups_done(p.method, p.block);
    }
  }
}

std::vector<Digest> rebuild_results(const RunLayout& run, const jobs::Plan& plan,
                                    const std::map<Digest, Commit>& commits, const std::string& chaos) {
  std::vector<Digest> unreadable;
  ResultsView(run, plan, commits, chaos, 0, unreadable).flush();
  return unreadable;
}

std::vector<std::string> compare_view(const RunLayout& run, const jobs::Plan& plan,
                                      const std::map<Digest, Commit>& commits, bool live, std::size_t most) {
  std::vector<std::string> faults;
  std::size_t more = 0;
  const auto fault = [&](std::string text) { faults.size() < most ? faults.push_back(std::move(text)) : void(++more); };
  const std::string name = run.results().string();
  ResultsTable table;
  try {
    table = read_results(run.results());
    const ResultsShape shape = ResultsShape::of(plan);
    if (table.attributes.value("plan_digest", "") != plan.digest.hex || table.shape.groups != shape.groups ||
        table.queries() != shape.queries.size() || table.slots() != shape.slots.size() ||
        table.shape.blocks.size() != shape.blocks.size() ||
        std::any_of(shape.methods.begin(), shape.methods.end(),
                    [&](const auto& m) { return !table.status.contains(m); })) {
      return {name + " was made for another plan"};
    }
  } catch (const Error& e) {
    return {e.what()};
  }
  auto open_rows = expected_rows(plan);
  for (const jobs::JobSpec& job : plan.jobs) {
    if (!commits.contains(job.digest)) continue;
    for (const jobs::Placement& p : job.placements) --open_rows.at(row_key(p));
  }
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto commit = commits.find(job.digest);
    if (job.placements.empty()) continue;
    bool all_done = true;
    for (const jobs::Placement& p : job.placements) {
      const bool complete = open_rows.at(row_key(p)) == 0;
      const bool done = is_done(table, plan, p, jobs::leaves_scores(job.work));
      all_done = all_done && done;
      if (done && !complete) fault(fmt::format("{} shows '{}' as done, the journal does not", name, job.label));
      if (complete && !done && !live)
        fault(fmt::format("{} shows '{}' as pending, the journal says done", name, job.label));
    }
    if (commit == commits.end() || !all_done) continue;
    try {
      const RowRecord record = read_row_record(run.rows(), commit->second.rows);
      check_shape(plan, job, record);
      if (!same_values(table, plan, job, record))
        fault(fmt::format("{} has other values than the rows of '{}'", name, job.label));
    } catch (const Error&) {
      // Rows that can't be read are somebody else's fault to report.
    }
  }
  if (more > 0) faults.push_back(fmt::format("... and {} more of {}", more, name));
  return faults;
}

}  // namespace guda::orchestrator
