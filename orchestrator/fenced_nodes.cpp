#include "orchestrator/fenced_nodes.hpp"

#include <filesystem>
#include <set>

#include "orchestrator/journal.hpp"

namespace guda::orchestrator {

std::vector<std::string> fenced_nodes(const RunLayout& run) {
  std::set<std::string> nodes;
  if (!std::filesystem::exists(run.journal())) return {};
  for (const auto& record : read_journal(run.journal()).records) {
    if (!record.body.contains("node") || !record.body.contains("fenced")) continue;
    const auto node = record.body.at("node").get<std::string>();
    if (record.body.at("fenced").get<bool>()) nodes.insert(node);
    else nodes.erase(node);
  }
  return {nodes.begin(), nodes.end()};
}

}  // namespace guda::orchestrator
