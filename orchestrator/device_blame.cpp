#include "orchestrator/device_blame.hpp"

#include <algorithm>

namespace guda::orchestrator {
namespace {

constexpr std::uint32_t kFailuresInARow = 2;  // of a device: before it is held back, and, proved, before it is fenced
constexpr std::size_t kFencedDevices = 2;     // of a node, before the node is fenced
constexpr double kFirstRest = 60;             // s; doubled by every failed trial
constexpr std::uint32_t kMaxDoublings = 20;
constexpr std::uint32_t kSuccessesPerHalving = 16;

}  // namespace

DeviceBlame::Index DeviceBlame::index_of(const std::string& device, const std::string& node) {
  const auto [at, is_new] = by_name_.try_emplace(device, static_cast<Index>(devices_.size()));
  if (is_new) {
    devices_.emplace_back();
    devices_.back().name = device;
    devices_.back().node = node;
    nodes_[node].devices.push_back(at->second);
  }
  return at->second;
}

/// Applies a change to devices and keeps everything that is derived from them true.
template <class Change>
void DeviceBlame::change(const std::vector<Index>& devices, Change what) {
  const bool some_trusted = trusted_ > 0;
  for (const Index d : devices) {
    usable_ -= std::size_t{usable(d)};
    trusted_ -= std::size_t{trusted(d)};
  }
  what();
  for (const Index d : devices) {
    Device& device = devices_[d];
    device.held = device.open.size() - device.disputes.size() + device.proved >= kFailuresInARow;
    if (device.held) held_.insert(d);
    else held_.erase(d);
    usable_ += std::size_t{usable(d)};
    trusted_ += std::size_t{trusted(d)};
    touched_.push_back(d);
  }
  // Without a trusted device the held ones work, with one they rest.
  if (some_trusted != (trusted_ > 0)) touched_.insert(touched_.end(), held_.begin(), held_.end());
}

DeviceBlame::Index DeviceBlame::join(const std::string& device, const std::string& node) {
  const Index index = index_of(device, node);
  change({index}, [&] { ++devices_[index].live; });
  // A node that an earlier life fenced, of whose devices none is known by name any more, is tried by this one.
  const Node& its_node = nodes_.at(node);
  const bool some_fenced =
      std::any_of(its_node.devices.begin(), its_node.devices.end(), [&](Index d) { return devices_[d].fenced; });
  if (its_node.fenced && !some_fenced) {
    change({index}, [&] { devices_[index].fenced = true; });
    rest(index, now_);
  }
  return index;
}

void DeviceBlame::leave(Index device) {
  change({device}, [&] { --devices_[device].live; });
}

void DeviceBlame::failed(Index device, std::size_t job, const std::set<std::string>& failed_on, double now) {
  devices_[device].successes = 0;
  if (devices_[device].trial == Trial::running) return rest(device, now);
  const bool elsewhere_too = failed_on.size() > 1;
  change({device}, [&] { devices_[device].open.insert(job); });
  if (!elsewhere_too) return;
  for (const std::string& name : failed_on) {
    const auto other = by_name_.find(name);
    if (other == by_name_.end() || !devices_[other->second].open.contains(job)) continue;
    change({other->second}, [&] { devices_[other->second].disputes.insert(job); });
  }
}

std::vector<DeviceBlame::Fence> DeviceBlame::succeeded(Index device, std::size_t job,
                                                       const std::set<std::string>& failed_on, double now) {
  std::vector<Fence> fences;
  if (fenced(device)) fences = heal(device);
  Device& well = devices_[device];
  if (well.rests > 0 && ++well.successes == kSuccessesPerHalving) {
    --well.rests;
    well.successes = 0;
  }
  if (!devices_[device].open.empty() || devices_[device].proved > 0) change({device}, [&] { forget(device); });
  for (const std::string& name : failed_on) {
    const auto other = by_name_.find(name);
    if (other == by_name_.end() || !devices_[other->second].open.contains(job)) continue;
    const Index index = other->second;
    change({index}, [&] {
      devices_[index].open.erase(job);
      devices_[index].disputes.erase(job);
      ++devices_[index].proved;
    });
    const bool last = usable_ - std::size_t{usable(index)} == 0;
    if (devices_[index].proved < kFailuresInARow || fenced(index) || last) continue;
    change({index}, [&] { devices_[index].fenced = true; });
    rest(index, now);
    fences.push_back({devices_[index].name, "", true, "two jobs in a row failed there and succeeded elsewhere"});

    Node& node = nodes_.at(devices_[index].node);
    const auto count = static_cast<std::size_t>(
        std::count_if(node.devices.begin(), node.devices.end(), [&](Index d) { return devices_[d].fenced; }));
    const auto here = static_cast<std::size_t>(
        std::count_if(node.devices.begin(), node.devices.end(), [&](Index d) { return usable(d); }));
    if (count < kFencedDevices || usable_ == here) continue;
    fence_node(devices_[index].node, true);
    fences.push_back({"", devices_[index].node, true, std::to_string(count) + " of its devices are fenced"});
  }
  return fences;
}

void DeviceBlame::rest(Index device, double now) {
  change({device}, [&] {
    Device& d = devices_[device];
    d.trial = Trial::none;
    d.rests_until = now + kFirstRest * static_cast<double>(1U << d.rests);
    d.rests = std::min(d.rests + 1, kMaxDoublings);
    next_trial_ = std::min(next_trial_, d.rests_until);
  });
}

void DeviceBlame::open_trials(double now) {
  next_trial_ = kNoTrial;
  for (Index i = 0; i < devices_.size(); ++i) {
    const Device& d = devices_[i];
    if (!d.fenced || d.trial != Trial::none) continue;
    if (d.rests_until == kFromNow) rest(i, now);
    else if (now >= d.rests_until) change({i}, [&] { devices_[i].trial = Trial::open; });
    else next_trial_ = std::min(next_trial_, d.rests_until);
  }
}

void DeviceBlame::began(Index device) {
  if (devices_[device].trial == Trial::open) change({device}, [&] { devices_[device].trial = Trial::running; });
}

void DeviceBlame::undecided(Index device) {
  if (devices_[device].trial == Trial::running) change({device}, [&] { devices_[device].trial = Trial::open; });
}

/// A success lifts the fence of a device, and of its node: not everything there is broken.
std::vector<DeviceBlame::Fence> DeviceBlame::heal(Index device) {
  std::vector<Fence> fences;
  if (devices_[device].fenced) {
    change({device}, [&] {
      devices_[device].fenced = false;
      devices_[device].trial = Trial::none;
    });
    fences.push_back({devices_[device].name, "", false, "a job succeeded there"});
  }
  if (nodes_.at(devices_[device].node).fenced) {
    fence_node(devices_[device].node, false);
    fences.push_back({"", devices_[device].node, false, "a job succeeded there"});
  }
  return fences;
}

void DeviceBlame::forget(Index device) {
  devices_[device].open.clear();
  devices_[device].disputes.clear();
  devices_[device].proved = 0;
}

void DeviceBlame::fence_node(const std::string& node, bool fenced) {
  change(nodes_[node].devices, [&] { nodes_[node].fenced = fenced; });
}

void DeviceBlame::restore_fence(const std::string& device, const std::string& node) {
  if (!node.empty()) return fence_node(node, true);
  const Index index = index_of(device, device.substr(0, device.rfind('/')));  // it may not have joined yet
  change({index}, [&] {
    devices_[index].fenced = true;
    devices_[index].rests_until = kFromNow;
  });
  next_trial_ = kFromNow;
}

bool DeviceBlame::unfence(const std::string& name) {
  bool found = false;
  const auto trust = [&](const std::vector<Index>& devices) {
    change(devices, [&] {
      for (const Index d : devices) {
        found = found || devices_[d].fenced;
        devices_[d].fenced = false;
        devices_[d].trial = Trial::none;
        devices_[d].rests = devices_[d].successes = 0;
        forget(d);
      }
    });
  };
  if (const auto device = by_name_.find(name); device != by_name_.end()) trust({device->second});
  if (const auto node = nodes_.find(name); node != nodes_.end()) {
    found = found || node->second.fenced;
    fence_node(name, false);
    trust(node->second.devices);
  }
  return found;
}

std::size_t DeviceBlame::untried(const std::set<std::string>& failed_on) const {
  std::size_t tried = 0;
  for (const std::string& name : failed_on) {
    const auto at = by_name_.find(name);
    if (at != by_name_.end()) tried += trusted_ > 0 ? trusted(at->second) : usable(at->second);
  }
  return (trusted_ > 0 ? trusted_ : usable_) - tried;
}

std::vector<std::string> DeviceBlame::fenced_devices() const {
  std::vector<std::string> names;
  for (const Device& d : devices_) {
    if (d.fenced) names.push_back(d.name);
  }
  return names;
}

std::vector<std::string> DeviceBlame::fenced_nodes() const {
  std::vector<std::string> names;
  for (const auto& [name, node] : nodes_) {
    if (node.fenced) names.push_back(name);
  }
  return names;
}

}  // namespace guda::orchestrator
