#include "worker/models/group_norm.hpp"

#include <doctest/doctest.h>

namespace guda::worker {
namespace {

double relative(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).norm() / wanted.norm().clamp_min(1e-20)).item<double>();
}

struct Case {
  std::int64_t batch, channels, size, groups;
};

}  // namespace

TEST_CASE("group norm: the fused kernel equals LibTorch's GroupNorm and SiLU, forward and every gradient") {
  torch::manual_seed(3);
  for (const Case& c : {Case{4, 16, 8, 8}, Case{3, 48, 4, 8}, Case{2, 6, 5, 3}, Case{1, 32, 1, 8}, Case{5, 7, 3, 1},
                        Case{3, 24, 4, 8}, Case{2, 8, 6, 4}, Case{2, 8, 3, 4}, Case{2, 72, 6, 8}, Case{2, 40, 5, 4}}) {
    for (const bool silu : {true, false}) {
      // A mean far from zero shows cancellation in the variance.
      const at::Tensor base = at::randn({c.batch, c.channels, c.size, c.size}) * 2 + 5;
      const at::Tensor up = at::randn_like(base);
      at::Tensor x1 = base.clone().contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
      at::Tensor x2 = base.clone().requires_grad_();
      at::Tensor g1 = at::randn({c.channels}).requires_grad_(), b1 = at::randn({c.channels}).requires_grad_();
      at::Tensor g2 = g1.detach().clone().requires_grad_(), b2 = b1.detach().clone().requires_grad_();
      const at::Tensor y1 = group_norm(x1, g1, b1, c.groups, 1e-5, silu);
      at::Tensor y2 = at::group_norm(x2, c.groups, g2, b2, 1e-5);
      if (silu) y2 = at::silu(y2);
      CAPTURE(c.channels);
      CHECK(relative(y1, y2) < 2e-6);
      y1.backward(up);
      y2.backward(up);
      CHECK(relative(g1.grad(), g2.grad()) < 2e-5);
      CHECK(relative(b1.grad(), b2.grad()) < 2e-5);
      CHECK(relative(x1.grad(), x2.grad()) < 2e-5);
    }
  }
}

TEST_CASE("group norm: extreme inputs stay finite and saturate as SiLU does") {
  at::Tensor x = at::tensor({-1e4F, 1e4F, -200.0F, 200.0F, 0.0F, 1.0F, -1.0F, 3.0F})
                     .view({1, 2, 2, 2})
                     .contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor gamma = at::full({2}, 100.0F), beta = at::zeros({2});
  const at::Tensor y = group_norm(x, gamma, beta, 1, 1e-5, true);
  CHECK(at::isfinite(y).all().item<bool>());
  CHECK(relative(y, at::silu(at::group_norm(x.contiguous(), 1, gamma, beta, 1e-5))) < 1e-5);
}

TEST_CASE("group norm: an image's bits do not depend on the others of the batch, nor on gradients being recorded") {
  torch::manual_seed(4);
  const at::Tensor x = at::randn({8, 16, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor gamma = at::randn({16}).requires_grad_(), beta = at::randn({16});
  const at::Tensor all = group_norm(x, gamma, beta, 8, 1e-5, true).detach();
  const at::NoGradGuard no_grad;
  for (std::int64_t i = 0; i < 8; ++i) {
    const at::Tensor one =
        group_norm(x.slice(0, i, i + 1).contiguous(at::MemoryFormat::ChannelsLast), gamma, beta, 8, 1e-5, true);
    CHECK(at::equal(one, all.slice(0, i, i + 1)));
  }
}

}  // namespace guda::worker
