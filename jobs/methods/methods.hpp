#pragma once
// Methods as policy: a row says which jobs answer "how much did each group contribute", what they leave, how faithful
// the implementation is to its source. Adding a method is a file here and a row in kMethods (docs/extending.md).
#include <span>
#include <string>
#include <string_view>

#include "jobs/plan_builder.hpp"

namespace guda::jobs {

enum class Leaves { losses, scores };

struct Method {
  std::string_view name;
  std::string_view summary;   ///< one line for `guda methods`
  std::string_view fidelity;  ///< released-code parity | paper formula | our reconstruction | control
  std::string_view source;    ///< paper or section
  Leaves leaves;
  void (*plan)(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
};

/// All methods, in the order in which tables show them.
[[nodiscard]] std::span<const Method> methods();
/// That of the method; of guda that of its operator, and a reconstruction with GUARD's weights.
[[nodiscard]] std::string_view fidelity_of(const MethodConfig& config);
/// What a similarity method compares, in words.
[[nodiscard]] std::string compared_features(const SimilarityConfig& config);
/// Throws Error listing the known names.
[[nodiscard]] const Method& method_named(std::string_view name);

void plan_logo(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_guda(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_gradients(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_ascent(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_mucs(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_similarity(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_control(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);
void plan_kde_elbo(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed);

}  // namespace guda::jobs
