#include "jobs/methods/methods.hpp"

#include <array>

#include "common/error.hpp"

namespace guda::jobs {
namespace {

constexpr std::array kMethods{
    Method{"logo", "retrain without each group, compare ELBOs (the oracle)", "paper formula", "arXiv 2601.22651, LOGOA",
           Leaves::losses, &plan_logo},
    Method{"guda", "unlearn each group from the full model, compare ELBOs; `unlearn.op` names the operator",
           "paper formula", "arXiv 2601.22651", Leaves::losses, &plan_guda},
    Method{"random", "uniform random scores: the floor of every table", "control", "-", Leaves::scores, &plan_control},
    Method{"pixel_cosine", "mean pixel cosine between the query and a group's images", "control", "-", Leaves::scores,
           &plan_control},
    Method{"knn", "mean pixel distance to the query's k nearest images of a group, negated", "control", "-",
           Leaves::scores, &plan_control},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

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
