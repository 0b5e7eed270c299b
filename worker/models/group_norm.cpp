#include "worker/models/group_norm.hpp"

#include "worker/device/gpu_ops.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/models/sample_gradients.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

using kernels::GroupNormShape;
using kernels::kernels;

GroupNormShape shape_of(const at::Tensor& x, std::int64_t groups, double eps, bool silu) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), groups, static_cast<float>(eps), silu};
}

at::Tensor forward_only(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                        const GroupNormShape& shape, at::Tensor& mean, at::Tensor& rstd) {
  const ProfileSpan span("guda::group_norm_forward");
  if (x.is_cuda()) return gpu::group_norm(x, gamma, beta, shape.groups, shape.eps, shape.silu, mean, rstd);
  mean = at::empty({shape.batch, shape.groups}, x.options().memory_format(at::MemoryFormat::Contiguous));
  rstd = at::empty_like(mean);
  at::Tensor y = at::empty_like(x, at::MemoryFormat::ChannelsLast);
  kernels().group_norm_forward(shape, x.const_data_ptr<float>(), gamma.const_data_ptr<float>(),
                               beta.const_data_ptr<float>(), y.mutable_data_ptr<float>(),
                               mean.mutable_data_ptr<float>(), rstd.mutable_data_ptr<float>());
  return y;
}

struct FusedGroupNorm : torch::autograd::Function<FusedGroupNorm> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& gamma,
                            const at::Tensor& beta, std::int64_t groups, double eps, bool silu) {
    at::Tensor mean, rstd;
    at::Tensor y = forward_only(x, gamma, beta, shape_of(x, groups, eps, silu), mean, rstd);
    context->save_for_backward({x, gamma, beta, mean, rstd});
    context->saved_data["groups"] = groups;
    context->saved_data["eps"] = eps;
    context->saved_data["silu"] = silu;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const ProfileSpan span("guda::group_norm_backward");
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& gamma = saved[1];
    const at::Tensor dy = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    if (x.is_cuda()) {
      const gpu::NormGradients gradients = gpu::group_norm_backward(
          x, gamma, saved[2], context->saved_data["groups"].toInt(), context->saved_data["eps"].toDouble(),
          context->saved_data["silu"].toBool(), saved[3], saved[4], dy);
      return {gradients.x, gradients.gamma, gradients.beta, at::Tensor(), at::Tensor(), at::Tensor()};
    }
    at::Tensor dx = at::empty_like(x, at::MemoryFormat::ChannelsLast);
    at::Tensor dgamma = at::zeros_like(gamma), dbeta = at::zeros_like(gamma);
    kernels().group_norm_backward(
        shape_of(x, context->saved_data["groups"].toInt(), context->saved_data["eps"].toDouble(),
                 context->saved_data["silu"].toBool()),
        x.const_data_ptr<float>(), gamma.const_data_ptr<float>(), saved[2].const_data_ptr<float>(),
        saved[3].const_data_ptr<float>(), saved[4].const_data_ptr<float>(), dy.const_data_ptr<float>(),
        dx.mutable_data_ptr<float>(), dgamma.mutable_data_ptr<float>(), dbeta.mutable_data_ptr<float>());
    return {dx, dgamma, dbeta, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor unwatched(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta, std::int64_t groups,
                     double eps, bool silu) {
  const bool on_cpu = x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 &&
                      x.size(1) <= kernels::kMaxNormChannels && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (!on_cpu && !gpu::takes_group_norm(x, gamma, beta, groups)) {
    const at::Tensor y = at::group_norm(x, groups, gamma, beta, eps);
    return silu ? at::silu(y) : y;
  }
  if (at::GradMode::is_enabled() && !x.is_inference() && (x.requires_grad() || gamma.requires_grad())) {
    return FusedGroupNorm::apply(x, gamma, beta, groups, eps, silu);
  }
  at::Tensor mean, rstd;
  return forward_only(x, gamma, beta, shape_of(x, groups, eps, silu), mean, rstd);
}

}  // namespace

at::Tensor group_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta, std::int64_t groups,
                      double eps, bool silu) {
  at::Tensor y = unwatched(x, gamma, beta, groups, eps, silu);
  watch_group_norm(gamma, beta, x, groups, eps, silu, y);
  return y;
}

}  // namespace guda::worker
