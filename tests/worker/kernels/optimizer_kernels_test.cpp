#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "worker/kernels/kernels.hpp"

namespace guda::worker {

namespace {

/// Less than a vector, whole vectors, blocks of the sum, and rests of all of these.
constexpr std::int64_t kSizes[] = {1, 3, 16, 31, 64, 1000, 1024, 5003};

double relative(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got.to(at::kDouble) - wanted).norm() / wanted.norm().clamp_min(1e-30)).item<double>();
}

}  // namespace

TEST_CASE("optimizer kernels: every instruction set's AdamW equals LibTorch's fused one over ten steps") {
  torch::manual_seed(2);
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    for (const std::int64_t n : kSizes) {
      const std::string isa = set->isa;
      CAPTURE(isa);
      CAPTURE(n);
      at::Tensor p = at::randn({n}), m = at::zeros({n}), v = at::zeros({n});
      std::vector<at::Tensor> theirs{p.clone()}, first{m.clone()}, second{v.clone()}, count{at::zeros({})};
      for (int step = 1; step <= 10; ++step) {
        const at::Tensor g = at::randn({n});
        const double scale = 0.5, lr = 1e-2, beta1 = 0.9, beta2 = 0.99, decay = 0.1;
        set->adamw({.gradient_scale = static_cast<float>(scale),
                    .eps = 1e-6F,
                    .new_first = static_cast<float>(1 - beta1),
                    .beta2 = static_cast<float>(beta2),
                    .new_second = static_cast<float>(1 - beta2),
                    .kept = static_cast<float>(1 - lr * decay),
                    .size = static_cast<float>(lr / (1 - std::pow(beta1, step))),
                    .second_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, step)))},
                   n, g.const_data_ptr<float>(), p.mutable_data_ptr<float>(), m.mutable_data_ptr<float>(),
                   v.mutable_data_ptr<float>());
        count[0] += 1;
        at::_fused_adamw_(theirs, {g * scale}, first, second, {}, count, lr, beta1, beta2, decay, 1e-6, false, false);
        CHECK(relative(p, theirs[0].to(at::kDouble)) < 1e-6);
        CHECK(relative(m, first[0].to(at::kDouble)) < 1e-6);
        CHECK(relative(v, second[0].to(at::kDouble)) < 1e-6);
      }
    }
  }
}

TEST_CASE("optimizer kernels: sums of squares and moving averages of every instruction set equal float64") {
  torch::manual_seed(3);
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    for (const std::int64_t n : kSizes) {
      CAPTURE(set->isa);
      CAPTURE(n);
      const at::Tensor x = at::randn({n}), target = at::randn({n});
      const auto exact = x.to(at::kDouble).square().sum().item<double>();
      CHECK(set->sum_of_squares(n, x.const_data_ptr<float>()) == doctest::Approx(exact).epsilon(1e-6));
      for (const double weight : {0.0, 1e-4, 0.3, 0.9, 1.0}) {
        at::Tensor average = x.clone();
        set->move_towards(static_cast<float>(weight), n, target.const_data_ptr<float>(),
                          average.mutable_data_ptr<float>());
        CHECK(relative(average, at::lerp(x.to(at::kDouble), target.to(at::kDouble), weight)) < 1e-6);
        if (weight == 0) CHECK(at::equal(average, x));
        if (weight == 1) CHECK(at::equal(average, target));
      }
    }
  }
}

}  // namespace guda::worker
