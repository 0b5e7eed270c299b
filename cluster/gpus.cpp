#include "cluster/gpus.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "common/capture.hpp"
#include "common/error.hpp"

namespace guda::cluster {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> fields;
  std::istringstream in{std::string(line)};
  for (std::string field; std::getline(in, field, ',');) fields.push_back(trimmed(field));
  return fields;
}

}  // namespace

std::vector<Gpu> parse_nvidia_smi(std::string_view text) {
  std::vector<Gpu> gpus;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (trimmed(line).empty()) continue;
    const auto f = fields_of(line);
    if (f.size() != 5 || !f[0].starts_with("GPU-")) throw Error("nvidia-smi says: " + line.substr(0, 200));
    // "[N/A]" on integrated GPUs that share the host's memory.
    const bool known = !f[4].empty() && f[4].find_first_not_of("0123456789") == std::string::npos;
    gpus.push_back({f[0], f[1], f[2], f[3], known ? std::stoull(f[4]) << 20 : 0});
  }
  return gpus;
}

std::vector<Gpu> apply_mask(const std::vector<Gpu>& all, std::string_view mask) {
  std::vector<Gpu> seen;
  for (const std::string& entry : fields_of(mask)) {
    const auto slice = std::find_if(all.begin(), all.end(), [&](const Gpu& g) { return g.uuid == entry; });
    if (entry.starts_with("MIG-") && slice != all.end()) {
      seen.push_back(*slice);
    } else if (entry.starts_with("MIG-")) {
      seen.push_back({entry, "", "MIG slice", all.empty() ? "" : all.front().driver, 0});
    } else if (entry.starts_with("GPU-")) {
      const auto at = std::find_if(all.begin(), all.end(), [&](const Gpu& g) { return g.uuid.starts_with(entry); });
      if (at == all.end()) break;
      seen.push_back(*at);
    } else {
      // CUDA's rule: the list ends at its first invalid entry ("NoDevFiles", -1, an index that is not there).
      if (entry.empty() || entry.size() > 4 || entry.find_first_not_of("0123456789") != std::string::npos) break;
      const std::size_t index = std::stoul(entry);
      if (index >= all.size()) break;
      seen.push_back(all[index]);
    }
  }
  return seen;
}

std::vector<Gpu> with_mig_slices(const std::vector<Gpu>& gpus, std::string_view list) {
  std::vector<Gpu> cut;
  const Gpu* parent = nullptr;
  std::istringstream lines{std::string(list)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.rfind("(UUID: ");
    if (at == std::string::npos) continue;
    const std::string uuid = line.substr(at + 7, line.find(')', at) - at - 7);
    if (uuid.starts_with("GPU-")) {
      const auto found = std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& g) { return g.uuid == uuid; });
      parent = found == gpus.end() ? nullptr : &*found;
      if (parent != nullptr) cut.push_back(*parent);
    } else if (uuid.starts_with("MIG-") && parent != nullptr) {
      if (!cut.empty() && cut.back().uuid == parent->uuid) cut.pop_back();
      std::istringstream words(line);
      std::string mig, profile;
      words >> mig >> profile;
      const std::size_t dot = profile.find('.');
      const std::string size = dot == std::string::npos ? "" : profile.substr(dot + 1);
      const std::size_t digits = std::min(size.find_first_not_of("0123456789"), size.size());
      const std::uint64_t gibibytes = digits > 0 && digits < 5 ? std::stoull(size.substr(0, digits)) : 0;
      cut.push_back({uuid, parent->pci, parent->model + " MIG " + profile, parent->driver, gibibytes << 30});
    }
  }
  return cut.empty() ? gpus : cut;
}

std::vector<Gpu> visible_gpus() {
  if (find_on_path("nvidia-smi").empty()) return {};
  const Captured said = capture(
      {"nvidia-smi", "--query-gpu=uuid,pci.bus_id,name,driver_version,memory.total", "--format=csv,noheader,nounits"},
      20);
  if (said.timed_out) throw Error("nvidia-smi did not answer within 20 s: the driver or a GPU hangs");
  if (said.exit_code != 0) {
    if (said.output.find("No devices were found") != std::string::npos) return {};
    throw Error("nvidia-smi failed: " + said.output.substr(0, 300));
  }
  const Captured list = capture({"nvidia-smi", "-L"}, 20);
  const std::vector<Gpu> whole = parse_nvidia_smi(said.output);
  const std::vector<Gpu> all = list.exit_code == 0 ? with_mig_slices(whole, list.output) : whole;
  const char* mask = std::getenv("CUDA_VISIBLE_DEVICES");
  return mask != nullptr ? apply_mask(all, mask) : all;
}

}  // namespace guda::cluster
