#include "orchestrator/job_story.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>

namespace guda::orchestrator {
namespace {

using Index = std::unordered_map<Digest, std::size_t>;

Index index_of(const jobs::Plan& plan) {
  Index index;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) index[plan.jobs[i].digest] = i;
  return index;
}

std::string node_of(const std::string& device) { return device.substr(0, device.find('/')); }

Digest job_of(const Json& body) { return Digest{body.value("job", "")}; }

AttemptStory* open_attempt(std::vector<AttemptStory>& attempts, std::uint32_t epoch, std::uint32_t attempt) {
  const auto found = std::find_if(attempts.rbegin(), attempts.rend(), [&](const AttemptStory& a) {
    return a.epoch == epoch && a.attempt == attempt && (a.outcome == "running");
  });
  return found == attempts.rend() ? nullptr : &*found;
}

std::vector<AttemptStory> attempts_of(const Digest& job, const RunFacts& facts) {
  std::vector<AttemptStory> attempts;
  for (const JournalRecord& record : facts.journal.records) {
    const Json& body = record.body;
    if (job_of(body) != job) continue;
    if (body.value("forgiven", false)) continue;
    AttemptStory fresh;
    fresh.epoch = record.epoch;
    fresh.attempt = body.value("attempt", 0U);
    fresh.worker = body.value("worker", "");
    fresh.device = body.value("device", "");
    fresh.node = node_of(fresh.device);
    const double time = body.value("time", 0.0);
    if (record.type == RecordType::lease) {
      fresh.outcome = "running";
      fresh.started = time;
      fresh.members = body.value("members", std::vector<std::string>{});
      attempts.push_back(fresh);
      continue;
    }
    if (record.type != RecordType::commit && record.type != RecordType::failure && record.type != RecordType::duplicate)
      continue;
    AttemptStory* known =
        record.type == RecordType::duplicate ? nullptr : open_attempt(attempts, record.epoch, fresh.attempt);
    if (known == nullptr) known = &attempts.emplace_back(fresh);
    known->ended = time;
    if (record.type == RecordType::commit) {
      known->outcome = "done";
    } else if (record.type == RecordType::failure) {
      known->outcome = "failed";
      known->worker = fresh.worker;
      known->device = fresh.device;
      known->node = fresh.node;
      known->cause = body.value("error", "");
      known->text = body.value("text", "");
      known->quarantined = body.value("quarantined", false);
      known->cure = body.value("cure", "");
    } else {
      known->outcome = body.value("why", "late");
      known->cause = body.value("verdict", "");
      known->text = body.value("detail", "");
    }
  }
  // What no record ended is at work now, or ended with its life.
  const std::uint32_t at_work = facts.alive && facts.status ? facts.status->epoch : 0;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (attempts[i].outcome != "running") continue;
    const bool newest =
        std::none_of(attempts.begin() + static_cast<std::ptrdiff_t>(i) + 1, attempts.end(),
                     [&](const auto& a) { return a.epoch == attempts[i].epoch && a.outcome == "running"; });
    if (attempts[i].epoch != at_work) {
      attempts[i].outcome = "lost";
      attempts[i].text =
          fmt::format("life {} ended while it ran, or it was handed back by a planned stop", attempts[i].epoch);
    } else if (!newest) {
      attempts[i].outcome = "returned";
    }
  }
  return attempts;
}

std::size_t count_state(const std::vector<std::string>& states, const char* state) {
  return static_cast<std::size_t>(std::count(states.begin(), states.end(), state));
}

std::string reason(const jobs::Plan& plan, const RunFacts& facts, const std::vector<std::string>& states,
                   const JobStory& story) {
  const std::string start = facts.alive ? "" : " No run is at work: type the same guda run command.";
  const AttemptStory* last = story.attempts.empty() ? nullptr : &story.attempts.back();
  if (story.state == "done")
    return last != nullptr ? "Its result is in the journal." : "Its artifact is at hand (reused from another run).";
  if (story.state == "running")
    return fmt::format("It runs on {} (attempt {}).",
                       !last                   ? "a worker"
                       : last->members.empty() ? last->worker
                                               : fmt::format("{}, a gang", fmt::join(last->members, " and ")),
                       last ? last->attempt : 1);
  if (story.state == "quarantined") {
    return fmt::format("It was given up after {} failed attempts: {}: {}. Cure: {}; then guda retry RUN --job {}.",
                       std::count_if(story.attempts.begin(), story.attempts.end(),
                                     [](const auto& a) { return a.outcome == "failed"; }),
                       last ? last->cause : "", last ? last->text : "",
                       last && !last->cure.empty() ? last->cure : "mend the cause", story.digest.substr(0, 10));
  }
  if (story.state == "blocked")
    return fmt::format("It can't run: {} was given up. guda explain says why.", fmt::join(story.open_inputs, ", "));
  if (story.state == "waiting") return fmt::format("It waits for {}.{}", fmt::join(story.open_inputs, ", "), start);
  if (last != nullptr && last->outcome == "failed" && last->cause == "io") {
    return "Its last attempt failed with an i/o error; it is tried again after 1, 2, 4, ... s." + start;
  }
  if (!facts.alive) return "Everything it needs is there." + start;
  double longer = 0;
  for (std::size_t i = 0; i < states.size(); ++i)
    longer += states[i] == "ready" && plan.jobs[i].cost > plan.jobs[story.index].cost ? 1 : 0;
  const std::uint32_t gang = jobs::gang_of(plan.jobs[story.index].work);
  return fmt::format(
      "Everything it needs is there; it waits for {} ({} jobs run, {} other ready jobs are longer).",
      gang > 1 ? fmt::format("{} free workers of one node (resources.gang)", gang) : std::string("a free worker"),
      count_state(states, "running"), longer);
}

}  // namespace

void to_json(Json& j, const JobStory& s) {
  Json attempts = Json::array();
  for (const AttemptStory& a : s.attempts) {
    attempts.push_back({{"epoch", a.epoch},
                        {"attempt", a.attempt},
                        {"worker", a.worker},
                        {"device", a.device},
                        {"node", a.node},
                        {"members", a.members},
                        {"outcome", a.outcome},
                        {"cause", a.cause},
                        {"text", a.text},
                        {"started", a.started},
                        {"ended", a.ended},
                        {"quarantined", a.quarantined},
                        {"cure", a.cure}});
  }
  j = {{"schema", 1},          {"index", s.index},
       {"digest", s.digest},   {"label", s.label},
       {"kind", s.kind},       {"state", s.state},
       {"why", s.why},         {"predicted_seconds", s.predicted_seconds},
       {"seconds", s.seconds}, {"open_inputs", s.open_inputs},
       {"users", s.users},     {"attempts", attempts}};
  j["peak_memory_bytes"] = s.peak_memory;
  j["peak_device_bytes"] = s.peak_device;
}

std::vector<bool> quarantined_jobs(const jobs::Plan& plan, const JournalContent& journal) {
  const Index index = index_of(plan);
  std::vector<bool> quarantined(plan.jobs.size(), false);
  for (const JournalRecord& record : journal.records) {
    if (record.type != RecordType::failure && record.type != RecordType::commit && record.type != RecordType::lease)
      continue;
    const auto at = index.find(job_of(record.body));
    if (at == index.end()) continue;
    quarantined[at->second] = record.type == RecordType::failure && record.body.value("quarantined", false);
  }
  return quarantined;
}

std::vector<std::string> job_states(const jobs::Plan& plan, const RunFacts& facts) {
  const Index index = index_of(plan);
  const std::vector<bool> quarantined = quarantined_jobs(plan, facts.journal);
  // Handed out in the life at work and not ended since.
  std::vector<bool> running(plan.jobs.size(), false);
  const std::uint32_t at_work = facts.alive && facts.status ? facts.status->epoch : 0;
  for (const JournalRecord& record : facts.journal.records) {
    if (record.epoch != at_work || (record.type != RecordType::lease && record.type != RecordType::failure)) continue;
    const auto found = index.find(job_of(record.body));
    if (found != index.end()) running[found->second] = record.type == RecordType::lease;
  }
  std::vector<std::string> states(plan.jobs.size());
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    const jobs::JobSpec& job = plan.jobs[i];
    if (facts.settled.at(i)) {
      states[i] = "done";
      continue;
    }
    if (quarantined[i]) {
      states[i] = "quarantined";
      continue;
    }
    states[i] = running[i] ? "running" : "ready";
    for (const Digest& input : job.inputs) {
      const std::string& state = states[index.at(input)];
      if (state == "quarantined" || state == "blocked") states[i] = "blocked";
      else if (state != "done" && states[i] != "blocked") states[i] = "waiting";
    }
  }
  return states;
}

JobStory tell_job(const jobs::Plan& plan, const RunFacts& facts, std::size_t at) {
  const jobs::JobSpec& job = plan.jobs.at(at);
  const Index index = index_of(plan);
  const std::vector<std::string> states = job_states(plan, facts);
  JobStory story;
  story.index = at;
  story.digest = job.digest.hex;
  story.label = job.label;
  story.kind = jobs::kind_of(job.work);
  story.state = states[at];
  story.predicted_seconds = job.cost;
  for (const Digest& input : job.inputs) {
    const std::size_t i = index.at(input);
    if (states[i] != "done") story.open_inputs.push_back(fmt::format("'{}' ({})", plan.jobs[i].label, states[i]));
  }
  for (const jobs::JobSpec& other : plan.jobs) {
    if (std::find(other.inputs.begin(), other.inputs.end(), job.digest) != other.inputs.end())
      story.users.push_back(other.label);
  }
  story.attempts = attempts_of(job.digest, facts);
  for (const JournalRecord& record : facts.journal.records) {
    if (record.type != RecordType::commit || job_of(record.body) != job.digest) continue;
    story.seconds = record.body.value("seconds", 0.0);
    RunStatus memory;
    add_metrics(memory, record.body.value("metrics", Json::object()));
    story.peak_memory = memory.peak_memory;
    story.peak_device = memory.peak_device;
  }
  story.why = reason(plan, facts, states, story);
  return story;
}

std::vector<std::size_t> find_jobs(const jobs::Plan& plan, const std::string& name) {
  std::vector<std::size_t> exact, by_digest, by_label;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    const jobs::JobSpec& job = plan.jobs[i];
    if (job.label == name || job.digest.hex == name) exact.push_back(i);
    if (name.size() >= 4 && job.digest.hex.starts_with(name)) by_digest.push_back(i);
    if (job.label.find(name) != std::string::npos) by_label.push_back(i);
  }
  return !exact.empty() ? exact : !by_digest.empty() ? by_digest : by_label;
}

}  // namespace guda::orchestrator
