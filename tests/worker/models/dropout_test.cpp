#include "worker/models/dropout.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "worker/kernels/kernels.hpp"

namespace guda::worker {

TEST_CASE("dropout: so many numbers are 0 as asked, the others are scaled so that the mean stays") {
  torch::manual_seed(1);
  const at::Tensor x = at::full({16, 32, 20, 20}, 2.0F);  // 204,800 numbers, not a multiple of a block's parts
  for (const double p : {0.05, 0.3, 0.9}) {
    const at::Tensor y = dropout(x, p);
    const auto share = y.eq(0).to(at::kDouble).mean().item<double>();
    CHECK(share == doctest::Approx(p).epsilon(0.03));  // a standard error is 0.1 to 1 %
    const double kept = 1 - static_cast<double>(std::lround(p * 65536)) / 65536;
    CHECK((y.eq(0) | (y - 2 / kept).abs().lt(1e-4)).all().item<bool>());
    // No two places share their fate: neighbours, halves of a word, words of a counter, images.
    const at::Tensor flat = y.eq(0).flatten().to(at::kDouble) - share;
    for (const std::int64_t distance : {1, 16, 32, 64, 128, 12800}) {
      const at::Tensor product = flat.slice(0, distance) * flat.slice(0, 0, -distance);
      CHECK(std::abs(product.mean().item<double>()) < 5 * p * (1 - p) / std::sqrt(200000.0));
    }
  }
}

TEST_CASE("dropout: the gradient has the mask of the forward pass, in either memory layout") {
  torch::manual_seed(2);
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const at::Tensor x = (at::rand({3, 5, 7, 3}) + 1).contiguous(format).requires_grad_();
    const at::Tensor y = dropout(x, 0.4);
    const at::Tensor up = at::rand({3, 5, 7, 3}) + 1;  // plain layout
    y.backward(up);
    CHECK(at::allclose(x.grad(), up * (y / x).detach(), 1e-5));
    CHECK(x.grad().eq(0).sum().item<std::int64_t>() > 50);
  }
}

TEST_CASE("dropout: masks follow the generator's seed and change from call to call, whatever the number of threads") {
  const at::Tensor x = at::ones({4, 64, 32, 32});
  const auto drawn = [&](int threads) {
    at::set_num_threads(threads);
    torch::manual_seed(3);
    std::vector<at::Tensor> masks{dropout(x, 0.5), dropout(x, 0.5)};
    at::set_num_threads(1);
    return masks;
  };
  const auto one = drawn(1), again = drawn(1), three = drawn(3);
  CHECK(at::equal(one[0], again[0]));
  CHECK(at::equal(one[1], again[1]));
  CHECK(at::equal(one[1], three[1]));
  CHECK_FALSE(at::equal(one[0], one[1]));
}

TEST_CASE("dropout: every instruction set drops the same numbers") {
  const at::Tensor x = at::randn({1000});
  at::Tensor expected;
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    at::Tensor y = at::empty({1000});
    set->dropout(0x123456789ABCDEFULL, 20000, 256, 1000, x.const_data_ptr<float>(), y.mutable_data_ptr<float>());
    if (!expected.defined()) expected = y;
    CHECK(at::equal(y, expected));
  }
}

}  // namespace guda::worker
