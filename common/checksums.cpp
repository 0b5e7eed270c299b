#include "common/checksums.hpp"

#include <map>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"

namespace guda {
namespace fs = std::filesystem;

namespace {

std::map<std::string, fs::path> files_below(const fs::path& folder) {
  std::map<std::string, fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (name != kChecksumsFile) files[name] = entry.path();
  }
  return files;
}

}  // namespace

void write_checksums(const fs::path& folder) {
  Json files = Json::object();
  for (const auto& [name, path] : files_below(folder)) {
    files[name] = {{"bytes", fs::file_size(path)}, {"xxh3_128", digest_of_file(path).hex}};
  }
  replace_file(folder / kChecksumsFile, Json{{"schema", 1}, {"files", files}}.dump(1) + "\n", false);
}

std::vector<std::string> check_checksums(const fs::path& folder) {
  std::vector<std::string> faults;
  try {
    const Json listed = Json::parse(read_file(folder / kChecksumsFile)).at("files");
    auto found = files_below(folder);
    for (const auto& [name, expected] : listed.items()) {
      const auto at = found.find(name);
      if (at == found.end()) {
        faults.push_back(name + " is missing");
        continue;
      }
      const auto bytes = fs::file_size(at->second);
      if (bytes != expected.at("bytes").get<std::uintmax_t>()) {
        faults.push_back(name + " has " + std::to_string(bytes) + " bytes instead of " + expected.at("bytes").dump());
      } else if (digest_of_file(at->second).hex != expected.at("xxh3_128").get<std::string>()) {
        faults.push_back(name + " has other content than when it was published");
      }
      found.erase(at);
    }
    for (const auto& [name, path] : found) faults.push_back(name + " was not there when the folder was published");
  } catch (const Json::exception&) {
    faults.push_back(std::string(kChecksumsFile) + " is damaged");
  } catch (const std::exception& e) {
    faults.push_back(e.what());
  }
  return faults;
}

}  // namespace guda
