#pragma once
// Is it the job or the device? A device is fenced after two failures in a row of jobs that then succeed elsewhere, a
// node while it has two fenced devices. Pure.
//
// Two in a row may be chance, so a fence is a rest: when it is over the device gets one job on trial. A success lifts
// the fence (and its node's), a failure doubles the rest, and every 16 successes halve the next one. A broken device
// costs a job per doubling, a sound one that had bad luck a minute.
//
// Until it is known, a device that has failed twice in a row without a success between is *held back*: it gets nothing
// as long as another device may work, so that a broken device does not fail the whole queue once. It comes back when
// one of the jobs fails elsewhere as well (then the job is the likelier culprit), when no other device is left, or by a
// person.
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace guda::orchestrator {

class DeviceBlame {
 public:
  using Index = std::uint32_t;

  /// What changed by an event, for the caller to record and to act on.
  struct Fence {
    std::string device, node;  ///< one of them
    bool fenced = true;        ///< false: trusted again
    std::string why;
  };

  /// A device has one more live worker. Returns its index, which stays the same for ever.
  Index join(const std::string& device, const std::string& node);
  void leave(Index device);

  /// A job failed on a device in a way that may be the device's fault. `failed_on`: all devices it failed on.
  void failed(Index device, std::size_t job, const std::set<std::string>& failed_on, double now);
  /// A job succeeded on a device after failing on others. Returns what is fenced because of it, never the last usable
  /// device, and what is trusted again.
  [[nodiscard]] std::vector<Fence> succeeded(Index device, std::size_t job, const std::set<std::string>& failed_on,
                                             double now);
  /// A device got a job. Its trial, if it is on trial, is this one.
  void began(Index device);
  /// A job ended in a way that says nothing about its device: a trial is open again.
  void undecided(Index device);
  /// Devices whose rest is over go on trial. Cheap when none is.
  void pass_time(double now) {
    now_ = now;
    if (now >= next_trial_) open_trials(now);
  }

  void restore_fence(const std::string& device, const std::string& node);
  /// Trusts a device or a node and all its devices again; false when nothing of this name was fenced.
  bool unfence(const std::string& name);

  [[nodiscard]] bool fenced(Index device) const {
    return devices_[device].fenced || nodes_.at(devices_[device].node).fenced;
  }
  /// May get a job now.
  [[nodiscard]] bool may_work(Index device) const {
    if (fenced(device)) return devices_[device].trial == Trial::open;
    return trusted_ == 0 || !devices_[device].held;
  }
  /// Live devices that are not fenced.
  [[nodiscard]] std::size_t usable() const { return usable_; }
  /// Live devices that may get a job now and are not among `failed_on`.
  [[nodiscard]] std::size_t untried(const std::set<std::string>& failed_on) const;
  [[nodiscard]] const std::string& name(Index device) const { return devices_[device].name; }
  [[nodiscard]] std::size_t size() const { return devices_.size(); }
  [[nodiscard]] bool held_back(Index device) const { return devices_[device].held && !fenced(device); }
  /// Fenced by itself, not by its node alone: gets a job on trial when its rest is over.
  [[nodiscard]] bool will_be_tried(Index device) const { return devices_[device].fenced; }
  [[nodiscard]] std::vector<std::string> fenced_devices() const;
  [[nodiscard]] std::vector<std::string> fenced_nodes() const;
  /// Devices for which may_work() may have changed since the last call.
  [[nodiscard]] std::vector<Index> take_touched() { return std::exchange(touched_, {}); }

 private:
  static constexpr double kNoTrial = std::numeric_limits<double>::infinity();
  static constexpr double kFromNow = -kNoTrial;  // the rest begins at the next event: a restored fence has no clock yet
  enum class Trial : std::uint8_t { none, open, running };
  struct Device {
    std::string name, node;
    std::uint32_t live = 0;  // workers
    bool fenced = false;
    bool held = false;
    Trial trial = Trial::none;       // of a fenced device
    double rests_until = 0;          // of a fenced device that is not on trial
    std::uint32_t rests = 0;         // doublings of the next rest
    std::uint32_t successes = 0;     // since the last failure or halving of the next rest
    std::set<std::size_t> open;      // jobs that failed here since its last success and have not ended elsewhere
    std::set<std::size_t> disputes;  // of those: failed elsewhere too
    std::uint32_t proved = 0;        // jobs that failed here since its last success and then succeeded elsewhere
  };
  struct Node {
    bool fenced = false;
    std::vector<Index> devices;
  };
  Index index_of(const std::string& device, const std::string& node);
  void forget(Index device);
  void fence_node(const std::string& node, bool fenced);
  void rest(Index device, double now);
  void open_trials(double now);
  std::vector<Fence> heal(Index device);
  [[nodiscard]] bool usable(Index device) const { return devices_[device].live > 0 && !fenced(device); }
  [[nodiscard]] bool trusted(Index device) const { return usable(device) && !devices_[device].held; }
  template <class Change>
  void change(const std::vector<Index>& devices, Change what);

  std::vector<Device> devices_;
  std::map<std::string, Index> by_name_;
  std::map<std::string, Node> nodes_;
  std::size_t usable_ = 0, trusted_ = 0;
  double now_ = 0, next_trial_ = kNoTrial;
  std::set<Index> held_;
  std::vector<Index> touched_;
};

}  // namespace guda::orchestrator
