#include "jobs/methods/methods.hpp"

#include <array>

#include "common/error.hpp"
#include "jobs/operators.hpp"

namespace guda::jobs {
namespace {

constexpr std::array kMethods{
    Method{"logo", "retrain without each group, compare ELBOs (the oracle)", "paper formula", "arXiv 2601.22651, LOGOA",
           Leaves::losses, &plan_logo},
    Method{"guda", "unlearn each group from the full model, compare ELBOs; `unlearn.op` names the operator",
           "paper formula", "arXiv 2601.22651", Leaves::losses, &plan_guda},
    Method{"trak", "projected gradients of the denoising loss, one ridge solve", "paper formula",
           "arXiv 2303.14186; 2311.00500 for diffusion", Leaves::scores, &plan_gradients},
    Method{"dtrak", "the same with gradients of the squared output", "paper formula", "arXiv 2311.00500, D-TRAK",
           Leaves::scores, &plan_gradients},
    Method{"das", "normalised output gradients, residuals and leverages of one Newton step; squared or signed",
           "our reconstruction", "after arXiv 2410.18639, DAS", Leaves::scores, &plan_gradients},
    Method{"abu", "unlearn the query along its Fisher-scaled gradient, see which images lose", "paper formula",
           "arXiv 2406.09408, AbU", Leaves::scores, &plan_ascent},
    Method{"choi", "the same in one step over all weights", "our reconstruction", "after Choi et al. 2025",
           Leaves::scores, &plan_ascent},
    Method{"mucs", "unlearn the query by clamped ascent, see which images lose (noise-consistent skew)",
           "our reconstruction", "after arXiv 2605.17938, MUCS, for noise prediction", Leaves::scores, &plan_mucs},
    Method{"similarity", "cosine between features: pixels, a CLIP vision tower, or any embedding as .npy",
           "paper formula", "arXiv 2601.22651, CLIPA", Leaves::scores, &plan_similarity},
    Method{"random", "uniform random scores: the floor of every table", "control", "-", Leaves::scores, &plan_control},
    Method{"pixel_cosine", "mean pixel cosine between the query and a group's images", "control", "-", Leaves::scores,
           &plan_control},
    Method{"group_size", "training images per group", "control", "-", Leaves::scores, &plan_control},
    Method{"kde_elbo", "ELBO difference of the exact denoiser of a kernel density with and without the group",
           "control", "-", Leaves::scores, &plan_kde_elbo},
    Method{"knn", "mean pixel distance to the query's k nearest images of a group, negated", "control", "-",
           Leaves::scores, &plan_control},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

std::string_view fidelity_of(const MethodConfig& config) {
  if (config.method != "guda") return method_named(config.method).fidelity;
  if (config.unlearn.guard_temperature > 0) return "our reconstruction";
  for (const OperatorInfo& op : operators()) {
    if (op.name == config.unlearn.op) return op.fidelity;
  }
  throw Error("no unlearning operator '" + config.unlearn.op + "'");
}

const Method& method_named(std::string_view name) {
  std::string known;
  for (const Method& method : kMethods) {
    if (method.name == name) return method;
    known += known.empty() ? "" : ", ";
    known += method.name;
  }
  throw Error("no method '" + std::string(name) + "' (known: " + known + ")");
}

}  // namespace guda::jobs
