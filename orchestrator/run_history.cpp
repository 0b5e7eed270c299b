#include "orchestrator/run_history.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>

namespace guda::orchestrator {
namespace {

ErrorClass error_class_from(const std::string& name) {
  for (unsigned char c = 0; c <= static_cast<unsigned char>(ErrorClass::lost); ++c) {
    if (name == to_string(static_cast<ErrorClass>(c))) return static_cast<ErrorClass>(c);
  }
  return ErrorClass::crash;
}

void set_fence(std::vector<std::string>& names, const std::string& name, bool fenced) {
  std::erase(names, name);
  if (fenced) names.push_back(name);
}

}  // namespace

std::uint32_t kind_index(const jobs::JobSpec& job) { return static_cast<std::uint32_t>(job.work.index()); }

History history_of(const JournalContent& journal, const jobs::Plan& plan) {
  std::unordered_map<std::string, std::uint32_t> index;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) index[plan.jobs[i].digest.hex] = static_cast<std::uint32_t>(i);
  const auto find = [&](const Json& body) {
    const auto at = index.find(body.value("job", ""));
    return at == index.end() ? std::optional<JobIndex>() : JobIndex(at->second);
  };
  History history;
  for (const JournalRecord& record : journal.records) {
    const Json& body = record.body;
    if (record.type == RecordType::failure && !body.value("late", false)) {
      const auto job = find(body);
      if (!job) continue;
      if (body.value("forgiven", false)) {
        std::erase_if(history.failures, [&](const PastFailure& f) { return f.job == *job; });
        continue;
      }
      history.failures.push_back({*job, body.value("attempt", 0U), body.value("device", body.value("worker", "")),
                                  error_class_from(body.value("error", "")), body.value("text", ""),
                                  body.value("quarantined", false)});
    } else if (record.type == RecordType::fence) {
      if (body.contains("device"))
        set_fence(history.fenced_devices, body.at("device").get<std::string>(), body.value("fenced", true));
      if (body.contains("node"))
        set_fence(history.fenced_nodes, body.at("node").get<std::string>(), body.value("fenced", true));
    } else if (record.type == RecordType::commit) {
      if (const auto job = find(body)) {
        const jobs::JobSpec& spec = plan.jobs[job->value];
        history.costs.push_back({kind_index(spec), spec.cost, body.value("seconds", 0.0)});
      }
    }
  }
  return history;
}

}  // namespace guda::orchestrator
