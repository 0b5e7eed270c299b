#include "jobs/kept_instances.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"

namespace guda::jobs {

KeptInstances read_kept_instances(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "instances.json";
  try {
    const Json json = Json::parse(read_file(file));
    KeptInstances kept{json.at("names").get<std::vector<std::string>>(),
                       json.at("items").get<std::vector<std::vector<std::uint32_t>>>()};
    if (json.at("schema") != 1 || kept.names.size() != kept.items.size())
      throw Error(file.string() + ": written by another version of guda, or damaged");
    return kept;
  } catch (const Json::exception& error) {
    throw Error(file.string() + ": damaged: " + error.what());
  }
}

std::vector<std::uint32_t> union_of_first(const KeptInstances& kept, std::uint32_t queries, std::uint32_t items) {
  if (kept.items.size() < queries)
    throw Error(fmt::format("{} queries have kept instances, not {}", kept.items.size(), queries));
  std::vector<std::uint32_t> all;
  for (std::uint32_t q = 0; q < queries; ++q) {
    const auto& line = kept.items[q];
    if (line.size() < items)
      throw Error(fmt::format("query {} has {} kept instances, not {}; raise keep_instances", kept.names[q],
                              line.size(), items));
    all.insert(all.end(), line.begin(), line.begin() + items);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace guda::jobs
