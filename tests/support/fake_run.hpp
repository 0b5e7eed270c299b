#pragma once
// A run directory with results in it, made without workers: every job "computes" a function of its digest.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "common/files.hpp"
#include "common/row_segment.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_store.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::test {

/// What job `digest` computes at cell i.
inline float fake_value(const Digest& digest, std::size_t i) {
  return static_cast<float>((query_id(digest.hex) % 1000) + i);
}

/// Loss of a row and slot of a Score job.
using FakeLoss = std::function<float(const jobs::JobSpec& job, std::uint32_t row, std::size_t slot)>;

/// Does the work of one job: publishes a folder, or appends rows to `segment`, of `loss` where it is given.
inline RowsRef fake_work(const orchestrator::RunLayout& run, const jobs::Plan& plan, const jobs::JobSpec& job,
                         RowSegmentWriter& segment, const FakeLoss& loss = {}) {
  if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work)) {
    std::vector<float> rows(score->count * score->slots.size());
    const std::size_t slots = score->slots.size();
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = loss ? loss(job, static_cast<std::uint32_t>(i / slots), i % slots) : fake_value(job.digest, i);
    return segment.append(job.digest, score->count, static_cast<std::uint32_t>(score->slots.size()), rows);
  }
  if (jobs::leaves_scores(job.work)) {
    std::vector<double> rows(plan.queries.size() * plan.groups.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = fake_value(job.digest, i);
    return segment.append(job.digest, static_cast<std::uint32_t>(plan.queries.size()),
                          static_cast<std::uint32_t>(plan.groups.size()), rows);
  }
  publish_directory(run.artifacts() / job.digest.hex,
                    [&](const auto& partial) { std::ofstream(partial / "weights.bin") << job.digest.hex; });
  return {};
}

class FakeRun {
 public:
  explicit FakeRun(jobs::Plan p = small_plan()) : plan(std::move(p)), run{scratch.path() / "run"} {
    orchestrator::make_run_folders(run);
    replace_file(run.plan(), jobs::to_json(plan).dump());
  }

  /// A life that does up to `jobs` open jobs and ends.
  void live(std::size_t jobs = 1'000'000) {
    const auto journal = orchestrator::read_journal(run.journal());
    orchestrator::RunStore store(run, plan, journal.last_epoch + 1);
    RowSegmentWriter segment(run.rows() / (std::to_string(journal.last_epoch + 1) + "-1.seg"));
    for (std::size_t i = 0; i < plan.jobs.size() && jobs > 0; ++i) {
      if (store.settled()[i]) continue;
      do_job(store, segment, i);
      --jobs;
    }
    static_cast<void>(store.sync());
    store.end("test", 75);
  }

  void do_job(orchestrator::RunStore& store, RowSegmentWriter& segment, std::size_t i) {
    const jobs::JobSpec& job = plan.jobs[i];
    const JobIndex index(static_cast<std::uint32_t>(i));
    store.add_lease(index, 1, "rank 1 (node/cpu1)", "node/cpu1");
    const RowsRef rows = fake_work(run, plan, job, segment, loss);
    std::optional<RowRecord> record;
    if (rows.length > 0) record = read_row_record(run.rows(), rows);
    store.add(index, {job.digest, 1, "rank 1 (node/cpu1)", "node/cpu1", 0.5, rows, {{"loss", 0.5}}, 0},
              std::move(record));
  }

  [[nodiscard]] orchestrator::JournalContent journal() const { return orchestrator::read_journal(run.journal()); }
  [[nodiscard]] std::map<Digest, orchestrator::Commit> commits() const { return orchestrator::commits_of(journal()); }
  [[nodiscard]] std::vector<bool> settled() const {
    return orchestrator::settled_jobs(plan, commits(), orchestrator::artifact_folders(run));
  }
  /// Position of the first job whose label begins so.
  [[nodiscard]] std::size_t job(const std::string& label) const {
    for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
      if (plan.jobs[i].label.starts_with(label)) return i;
    }
    throw std::runtime_error("no job " + label);
  }

  ScratchFolder scratch;
  jobs::Plan plan;
  orchestrator::RunLayout run;
  FakeLoss loss;
};

/// Flips one bit of a file.
inline void flip_bit(const std::filesystem::path& file, std::size_t byte) {
  std::string bytes = read_file(file);
  bytes.at(byte) = static_cast<char>(bytes.at(byte) ^ 4);
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace guda::test
