#include "worker/unlearn/operators.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "common/error.hpp"

namespace guda::worker {
namespace {

bool reads(const OperatorEntry& entry, std::string_view field) {
  for (std::string_view rest = entry.fields; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    if (rest.substr(0, end) == field) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

void refuse_unread(const OperatorEntry& entry, const jobs::UnlearnConfig& config) {
  const jobs::UnlearnConfig standard;
  const auto check = [&](std::string_view field, bool changed) {
    if (changed && !reads(entry, field)) {
      throw Error(fmt::format("unlearn.{}: the operator {} does not use it; leave it out (it uses: {})", field,
                              entry.name, entry.fields));
    }
  };
  check("forget_batch", config.forget_batch != standard.forget_batch);
  check("forget_weight", config.forget_weight != standard.forget_weight);
  check("forget_scaling", config.forget_scaling != standard.forget_scaling);
  check("neighbours", config.neighbours != standard.neighbours);
  check("kl_cap", config.kl_cap != standard.kl_cap);
  check("minsnr_gamma", config.minsnr_gamma != standard.minsnr_gamma);
  check("preserve", config.preserve != standard.preserve);
  check("rho", config.rho != standard.rho);
  check("strength", config.strength != standard.strength);
  check("guidance", config.guidance != standard.guidance);
  check("gradient_cap", config.gradient_cap != standard.gradient_cap);
  check("damping", config.damping != standard.damping);
  check("guard_temperature", config.guard_temperature != standard.guard_temperature);
  check("anchor", !config.anchor.empty());
  if (!entry.one_step) return;
  const jobs::OptimizerConfig &o = config.optimizer, &usual = standard.optimizer;
  check("optimizer", std::tie(o.lr, o.beta1, o.beta2, o.eps, o.weight_decay) !=
                         std::tie(usual.lr, usual.beta1, usual.beta2, usual.eps, usual.weight_decay));
  check("warmup_steps", config.warmup_steps != standard.warmup_steps);
  check("decay", config.decay != standard.decay);
  check("horizon", config.horizon != standard.horizon);
  check("clip", config.clip != standard.clip);
}

void check_ranges(const OperatorEntry& entry, const jobs::UnlearnConfig& config) {
  const auto require = [](bool good, std::string_view what) {
    if (!good) throw Error(fmt::format("unlearn.{}", what));
  };
  require(config.steps > 0, "steps: must be at least 1");
  require(config.retain_batch > 0, "retain_batch: must be at least 1");
  require((entry.forget_loss == nullptr && !entry.one_step) || config.forget_batch > 0,
          "forget_batch: must be at least 1");
  require(config.forget_scaling == "constant" || config.forget_scaling == "proportional",
          "forget_scaling: known are constant and proportional");
  require(config.preserve == "standard" || config.preserve == "distillation",
          "preserve: known are standard and distillation");
  require(config.kl_cap >= 0, "kl_cap: must not be negative");
  require(config.minsnr_gamma > 0, "minsnr_gamma: must be positive");
  require(config.rho >= 0, "rho: must not be negative");
  require(config.strength > 0, "strength: must be positive");
  require(config.guidance >= 0, "guidance: must not be negative");
  require(config.gradient_cap >= 0, "gradient_cap: must not be negative");
  require(config.damping > 0, "damping: must be positive");
  require(config.guard_temperature >= 0, "guard_temperature: must not be negative");
}

}  // namespace

const OperatorEntry& find_operator(const jobs::UnlearnConfig& config) {
  const auto found =
      std::find_if(kOperators.begin(), kOperators.end(), [&](const auto& entry) { return entry.name == config.op; });
  if (found == kOperators.end()) {
    std::string known;
    for (const OperatorEntry& entry : kOperators) known += fmt::format("{}{}", known.empty() ? "" : ", ", entry.name);
    throw Error(fmt::format("unlearn.op: '{}' is not known; known: {}", config.op, known));
  }
  check_ranges(*found, config);
  refuse_unread(*found, config);
  return *found;
}

}  // namespace guda::worker
