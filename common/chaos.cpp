#include "common/chaos.hpp"

#include <xxhash.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace guda {
namespace {

struct Word {
  const char* name;
  Fault fault;
  ErrorClass error;
};
constexpr std::array kTargetWords{
    Word{"crash", Fault::crash, ErrorClass::crash},     Word{"hang", Fault::stop, ErrorClass::crash},
    Word{"nan", Fault::report, ErrorClass::divergence}, Word{"oom", Fault::report, ErrorClass::out_of_memory},
    Word{"io", Fault::report, ErrorClass::io},          Word{"device", Fault::report, ErrorClass::device},
    Word{"disk", Fault::disk, ErrorClass::io},
};
constexpr const char* kWords =
    "seed=N; kill, stop, slow, agent, torn, coordinator=SHARE (0 to 1); crash, hang, nan, oom, io, "
    "device, disk=LABEL[@DEVICE]";

/// Uniform in [0, 1), a function of its arguments.
double uniform(std::uint64_t seed, std::string_view what, std::string_view label, std::uint32_t number) {
  std::string key(what);
  key += '\0';
  key += label;
  key += '\0' + std::to_string(number);
  return double(XXH3_64bits_withSeed(key.data(), key.size(), seed) >> 11) * 0x1.0p-53;
}

double share_from(const std::string& name, const std::string& value) {
  char* end = nullptr;
  const double p = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(p >= 0 && p <= 1)) {
    throw Error("--chaos: " + name + " needs a share between 0 and 1, not '" + value + "'");
  }
  return p;
}

}  // namespace

ChaosSpec parse_chaos(const std::string& text) {
  ChaosSpec chaos;
  chaos.text = text;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw Error("--chaos: '" + word + "' is not WORD=VALUE. Words: " + kWords);
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    const std::array<std::pair<const char*, double*>, 6> shares{{{"kill", &chaos.kill},
                                                                 {"stop", &chaos.stop},
                                                                 {"slow", &chaos.slow},
                                                                 {"agent", &chaos.agent},
                                                                 {"torn", &chaos.torn},
                                                                 {"coordinator", &chaos.coordinator}}};
    bool known = false;
    for (const auto& [share, target] : shares) {
      if (name != share) continue;
      *target = share_from(name, value);
      known = true;
    }
    if (name == "seed") {
      char* rest = nullptr;
      chaos.seed = std::strtoull(value.c_str(), &rest, 10);
      if (value.empty() || *rest != '\0') throw Error("--chaos: seed needs a number, not '" + value + "'");
      known = true;
    }
    for (const Word& target : kTargetWords) {
      if (name != target.name) continue;
      const std::size_t at = value.rfind('@');
      const std::string label = value.substr(0, at);
      if (label.empty()) throw Error("--chaos: " + name + " needs a part of a job's label, or *");
      chaos.targets.push_back({target.fault, target.error, label, at == std::string::npos ? "" : value.substr(at + 1)});
      known = true;
    }
    if (!known) throw Error("--chaos: unknown word '" + name + "'. Words: " + kWords);
  }
  return chaos;
}

std::optional<Injection> injection_for(const ChaosSpec& chaos, std::string_view label, std::uint32_t attempt,
                                       std::string_view device) {
  for (const ChaosSpec::Target& t : chaos.targets) {
    if ((t.label == "*" || label.find(t.label) != std::string_view::npos) && device.ends_with(t.device))
      return Injection{t.fault, t.error, 0};
  }
  const std::array<std::pair<double, Fault>, 4> shares{
      {{chaos.kill, Fault::kill}, {chaos.stop, Fault::stop}, {chaos.slow, Fault::slow}, {chaos.agent, Fault::agent}}};
  double u = uniform(chaos.seed, "attempt", label, attempt);
  for (const auto& [share, fault] : shares) {
    if (u < share) return Injection{fault, ErrorClass::crash, uniform(chaos.seed, "moment", label, attempt)};
    u -= share;
  }
  return std::nullopt;
}

CoordinatorFault coordinator_fault(const ChaosSpec& chaos, std::string_view label, std::uint32_t epoch) {
  const double u = uniform(chaos.seed, "commit", label, epoch);
  if (u < chaos.torn) return CoordinatorFault::torn;
  return u < chaos.torn + chaos.coordinator ? CoordinatorFault::die : CoordinatorFault::none;
}

}  // namespace guda
