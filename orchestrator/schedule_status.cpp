#include "orchestrator/schedule_status.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "common/clock.hpp"
#include "common/process.hpp"

namespace guda::orchestrator {
namespace {

WorkerView view_of(WorkerId worker, const WorkerStatus& w, const Scheduler& scheduler, const jobs::Plan& plan,
                   const BeatOf& beat_of, double suspect_after) {
  WorkerView v;
  v.rank = worker.value;
  v.device = w.device;
  v.silent_for = steady_seconds() - w.last_heard;
  v.state = w.lost                                       ? "lost"
            : w.suspect                                  ? "suspect"
            : w.lease                                    ? "running"
            : scheduler.blame().fenced(w.device_index)   ? "fenced"
            : scheduler.blame().may_work(w.device_index) ? "idle"
                                                         : "held back";
  if (!w.lease) return v;
  const message::Beat& beat = beat_of(worker);
  v.job = plan.jobs[w.lease->job].label;
  if (const auto gang = scheduler.gang_of(JobIndex(w.lease->job)); !gang.empty())
    v.member = fmt::format("{} of {}", 1 + (std::find(gang.begin(), gang.end(), worker) - gang.begin()), gang.size());
  v.running_for = steady_seconds() - scheduler.jobs()[w.lease->job].since;
  if (!beat.busy || beat.lease != *w.lease) return v;
  v.step = beat.step;
  v.steps = beat.steps;
  v.loss = beat.loss;
  if (v.state == "running" && beat.quiet > suspect_after) {
    v.state = "frozen";
    v.silent_for = beat.quiet;
  }
  return v;
}

}  // namespace

RunStatus status_of_life(const Life& life, std::uint64_t sequence) {
  RunStatus s;
  s.sequence = sequence;
  s.epoch = life.epoch;
  s.token = life.token;
  s.pid = ::getpid();
  s.pid_start = process_start_time(s.pid);
  s.host = host_name();
  s.time = unix_seconds();
  return s;
}

void add_schedule(RunStatus& s, const Scheduler& scheduler, const jobs::Plan& plan, const BeatOf& beat_of,
                  double suspect_after) {
  s.total = plan.jobs.size() + plan.next.jobs;
  s.done = scheduler.count(JobState::done);
  s.running = scheduler.count(JobState::running);
  s.quarantined = scheduler.count(JobState::quarantined);
  s.blocked = scheduler.count(JobState::blocked);
  double in_flight = 0;
  for (const auto& [worker, w] : scheduler.workers()) {
    s.workers.push_back(view_of(worker, w, scheduler, plan, beat_of, suspect_after));
    if (!w.lease || s.workers.back().steps == 0) continue;
    const double share = std::min(1.0, double(s.workers.back().step) / double(s.workers.back().steps));
    in_flight += scheduler.estimate(JobIndex(w.lease->job)).p50 * share;
  }
  s.fenced = scheduler.blame().fenced_nodes();
  for (const std::string& device : scheduler.blame().fenced_devices()) s.fenced.push_back(device);
  CostRange left = scheduler.remaining();
  if (plan.next.jobs > 0) {
    const CostRange next = scheduler.costs().estimate(jobs::Work(jobs::ScoreSpec{}).index(), plan.next.cost);
    left = {left.p10 + next.p10, left.p50 + next.p50, left.p90 + next.p90};
  }
  const double undone = std::max(0.0, left.p50 - in_flight);
  s.progress = undone + s.device_seconds + in_flight > 0
                   ? (s.device_seconds + in_flight) / (undone + s.device_seconds + in_flight)
                   : 1;
  const std::size_t hands = std::min(scheduler.live_workers(), s.total - s.done);
  if (hands > 0 && left.p50 > 0 && scheduler.costs().observations() > 0) {
    s.eta_p50 = undone / double(hands);
    s.eta_p10 = s.eta_p50 * left.p10 / left.p50;
    s.eta_p90 = s.eta_p50 * left.p90 / left.p50;
  }
}

}  // namespace guda::orchestrator
