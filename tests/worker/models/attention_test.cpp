#include "worker/models/attention.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "worker/kernels/kernels.hpp"

namespace guda::worker {
namespace {

struct Case {
  std::int64_t images, queries, keys, heads, channels;
};

/// One token, less than a vector, whole vectors and rests, other keys than queries, both widths of a head.
const Case kCases[] = {{1, 1, 1, 1, 8},    {2, 5, 5, 2, 8},  {3, 16, 16, 4, 8},  {2, 64, 64, 1, 16},
                       {1, 33, 33, 3, 16}, {2, 7, 20, 2, 8}, {1, 256, 256, 2, 8}};

at::Tensor plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  const auto split = [&](const at::Tensor& t) { return t.unflatten(2, {heads, -1}).transpose(1, 2); };
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2) / heads));
  return (split(q).matmul(split(k).transpose(2, 3)) * scale).softmax(3).matmul(split(v)).transpose(1, 2).flatten(2);
}

double relative(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got.to(at::kDouble) - wanted).norm() / wanted.norm().clamp_min(1e-20)).item<double>();
}

}  // namespace

TEST_CASE("attention: narrow heads equal the float64 formula, forward and every gradient") {
  torch::manual_seed(8);
  for (const Case& c : kCases) {
    CAPTURE(c.queries);
    CAPTURE(c.keys);
    CAPTURE(c.channels);
    const std::int64_t width = c.heads * c.channels;
    const at::Tensor q = (at::randn({c.images, c.queries, width}) * 2).requires_grad_(),
                     k = (at::randn({c.images, c.keys, width}) * 2).requires_grad_(),
                     v = at::randn({c.images, c.keys, width}).requires_grad_(),
                     up = at::randn({c.images, c.queries, width});
    const auto twin = [](const at::Tensor& t) { return t.detach().to(at::kDouble).requires_grad_(); };
    const at::Tensor q64 = twin(q), k64 = twin(k), v64 = twin(v);
    const at::Tensor y = attention(q, k, v, c.heads), wanted = plain(q64, k64, v64, c.heads);
    CHECK(relative(y, wanted) < 2e-6);
    y.backward(up);
    wanted.backward(up.to(at::kDouble));
    CHECK(relative(v.grad(), v64.grad()) < 2e-6);
    if (c.keys == 1) continue;  // the weight is 1 whatever q and k are: their gradients are rounding
    CHECK(relative(q.grad(), q64.grad()) < 5e-6);
    CHECK(relative(k.grad(), k64.grad()) < 5e-6);
  }
}

TEST_CASE("attention: wide heads over many tokens equal the float64 formula, forward and every gradient") {
  torch::manual_seed(10);
  for (const Case& c : {Case{1, 1024, 1024, 2, 40}, Case{2, 1030, 77, 1, 80}, Case{1, 1024, 600, 1, 20}}) {
    CAPTURE(c.channels);
    const std::int64_t width = c.heads * c.channels;
    const at::Tensor q = at::randn({c.images, c.queries, width}).requires_grad_(),
                     k = at::randn({c.images, c.keys, width}).requires_grad_(),
                     v = at::randn({c.images, c.keys, width}).requires_grad_(),
                     up = at::randn({c.images, c.queries, width});
    const auto twin = [](const at::Tensor& t) { return t.detach().to(at::kDouble).requires_grad_(); };
    const at::Tensor q64 = twin(q), k64 = twin(k), v64 = twin(v);
    const at::Tensor y = transformer_attention(q, k, v, c.heads), wanted = plain(q64, k64, v64, c.heads);
    CHECK(relative(y, wanted) < 2e-6);
    {
      const at::NoGradGuard no_grad;
      CHECK(at::equal(transformer_attention(q, k, v, c.heads), y));
    }
    y.backward(up);
    wanted.backward(up.to(at::kDouble));
    CHECK(relative(v.grad(), v64.grad()) < 5e-6);
    CHECK(relative(q.grad(), q64.grad()) < 1e-5);
    CHECK(relative(k.grad(), k64.grad()) < 1e-5);
  }
}

TEST_CASE("attention: every instruction set does wide heads, one head at a time or all, to the same bits") {
  torch::manual_seed(11);
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    for (const Case& c :
         {Case{2, 5, 5, 2, 40}, Case{1, 70, 77, 3, 160}, Case{2, 65, 1030, 2, 20}, Case{1, 8, 600, 1, 81}}) {
      CAPTURE(set->isa);
      CAPTURE(c.channels);
      const std::int64_t width = c.heads * c.channels, heads = c.images * c.heads;
      const at::Tensor q = at::randn({c.images, c.queries, width}) * 3, k = at::randn({c.images, c.keys, width}) * 3,
                       v = at::randn({c.images, c.keys, width});
      at::Tensor out = at::empty_like(q), log_sum = at::empty({heads, c.queries}), again = at::empty_like(q);
      const kernels::AttentionShape s{c.images, c.queries,  c.keys,
                                      c.heads,  c.channels, 1 / std::sqrt(static_cast<float>(c.channels))};
      const auto run = [&](at::Tensor& to, std::int64_t begin, std::int64_t end) {
        set->attention_wide(s, q.data_ptr<float>(), k.data_ptr<float>(), v.data_ptr<float>(), to.data_ptr<float>(),
                            log_sum.data_ptr<float>(), begin, end);
      };
      run(out, 0, heads);
      for (std::int64_t head = heads; head-- > 0;) run(again, head, head + 1);
      CHECK(at::equal(out, again));
      CHECK(relative(out, plain(q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble), c.heads)) < 2e-6);
    }
  }
}

TEST_CASE("attention: every instruction set agrees with the formula") {
  torch::manual_seed(9);
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    for (const Case& c : kCases) {
      CAPTURE(set->isa);
      CAPTURE(c.keys);
      const std::int64_t width = c.heads * c.channels;
      const at::Tensor q = at::randn({c.images, c.queries, width}), k = at::randn({c.images, c.keys, width}),
                       v = at::randn({c.images, c.keys, width});
      at::Tensor out = at::full_like(q, NAN), sums = at::empty({c.images, c.heads, c.queries});
      set->attention_forward({c.images, c.queries, c.keys, c.heads, c.channels, 1 / std::sqrt(float(c.channels))},
                             q.const_data_ptr<float>(), k.const_data_ptr<float>(), v.const_data_ptr<float>(),
                             out.mutable_data_ptr<float>(), sums.mutable_data_ptr<float>());
      CHECK(relative(out, plain(q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble), c.heads)) < 2e-6);
    }
  }
}

TEST_CASE("attention: large scores neither overflow nor vanish, NaN comes through") {
  const at::Tensor q = at::full({1, 2, 8}, 100.0F),
                   k = at::stack({at::full({8}, 100.0F), at::full({8}, -100.0F)}).unsqueeze(0),
                   v = at::stack({at::full({8}, 1.0F), at::full({8}, 2.0F)}).unsqueeze(0);
  CHECK(at::equal(attention(q, k, v, 1), at::ones({1, 2, 8})));
  CHECK(attention(at::full({1, 2, 8}, NAN), k, v, 1).isnan().all().item<bool>());
}

TEST_CASE("attention: an image's bits do not depend on the batch, the threads or gradients being recorded") {
  torch::manual_seed(10);
  const at::Tensor q = at::randn({5, 21, 16}).requires_grad_(), k = at::randn({5, 21, 16}), v = at::randn({5, 21, 16});
  const at::Tensor all = attention(q, k, v, 2).detach();
  const at::NoGradGuard no_grad;
  for (std::int64_t i = 0; i < 5; ++i)
    CHECK(at::equal(attention(q.slice(0, i, i + 1), k.slice(0, i, i + 1), v.slice(0, i, i + 1), 2),
                    all.slice(0, i, i + 1)));
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  CHECK(at::equal(attention(q, k, v, 2), all));
  at::set_num_threads(threads);
}

TEST_CASE("attention: wide heads are LibTorch's") {
  torch::manual_seed(11);
  const at::Tensor q = at::randn({2, 9, 48}), k = at::randn({2, 4, 48}), v = at::randn({2, 4, 48});
  CHECK(relative(attention(q, k, v, 2), plain(q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble), 2)) < 2e-6);
}

}  // namespace guda::worker
