#include "worker/models/attention.hpp"

#include <ATen/Parallel.h>

#include <cmath>

#include "worker/device/attention_choice.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

using kernels::AttentionShape;
using kernels::kernels;

/// Runs body(shape of a part, first image) on the worker's threads.
template <class Body>
void over_parts(const AttentionShape& s, const Body& body) {
  at::parallel_for(0, s.batch, 1, [&](std::int64_t begin, std::int64_t end) {
    AttentionShape part = s;
    part.batch = end - begin;
    body(part, begin);
  });
}

AttentionShape attention_shape(const at::Tensor& q, const at::Tensor& k, std::int64_t heads) {
  const std::int64_t channels = q.size(2) / heads;
  return {q.size(0), q.size(1), k.size(1), heads, channels, 1 / std::sqrt(static_cast<float>(channels))};
}

at::Tensor attend(const AttentionShape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  at::Tensor& log_sum) {
  const ProfileSpan span("guda::attention_forward");
  at::Tensor out = at::empty_like(q);
  log_sum = at::empty({s.batch, s.heads, s.queries}, q.options());
  const std::int64_t queries = q.size(1) * q.size(2), keys = k.size(1) * k.size(2);
  const float *const from = q.const_data_ptr<float>(), *const to = k.const_data_ptr<float>(),
                     *const values = v.const_data_ptr<float>();
  float *const result = out.mutable_data_ptr<float>(), *const sums = log_sum.mutable_data_ptr<float>();
  over_parts(s, [&](const AttentionShape& part, std::int64_t n) {
    kernels().attention_forward(part, from + n * queries, to + n * keys, values + n * keys, result + n * queries,
                                sums + n * s.heads * s.queries);
  });
  return out;
}

at::Tensor attend_wide(const AttentionShape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       at::Tensor& log_sum) {
  const ProfileSpan span("guda::attention_wide");
  at::Tensor out = at::empty_like(q);
  log_sum = at::empty({s.batch, s.heads, s.queries}, q.options());
  const float *const from = q.const_data_ptr<float>(), *const to = k.const_data_ptr<float>(),
                     *const values = v.const_data_ptr<float>();
  float *const result = out.mutable_data_ptr<float>(), *const sums = log_sum.mutable_data_ptr<float>();
  at::parallel_for(0, s.batch * s.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    kernels().attention_wide(s, from, to, values, result, sums, begin, end);
  });
  return out;
}

/// One of the two above, with what its way back needs.
at::Tensor attended(torch::autograd::AutogradContext* context, decltype(attend)* kernel, const at::Tensor& q,
                    const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  at::Tensor log_sum;
  at::Tensor out = kernel(attention_shape(q, k, heads), q, k, v, log_sum);
  context->save_for_backward({q, k, v, out, log_sum});
  context->saved_data["heads"] = heads;
  return out;
}

struct NarrowAttention : torch::autograd::Function<NarrowAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, std::int64_t heads) {
    return attended(context, &attend, q, k, v, heads);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const ProfileSpan span("guda::attention_backward");
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &log_sum = saved[4];
    const at::Tensor dout = grads[0].contiguous();
    at::Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    const std::int64_t queries = q.size(1) * q.size(2), keys = k.size(1) * k.size(2);
    float *const to_q = dq.mutable_data_ptr<float>(), *const to_k = dk.mutable_data_ptr<float>(),
                 *const to_v = dv.mutable_data_ptr<float>();
    over_parts(attention_shape(q, k, context->saved_data["heads"].toInt()),
               [&](const AttentionShape& part, std::int64_t n) {
                 kernels().attention_backward(
                     part, q.const_data_ptr<float>() + n * queries, k.const_data_ptr<float>() + n * keys,
                     v.const_data_ptr<float>() + n * keys, out.const_data_ptr<float>() + n * queries,
                     log_sum.const_data_ptr<float>() + n * part.heads * part.queries,
                     dout.const_data_ptr<float>() + n * queries, to_q + n * queries, to_k + n * keys, to_v + n * keys);
               });
    return {dq, dk, dv, at::Tensor()};
  }
};

/// Any number of channels a head. The way back is LibTorch's.
struct WideAttention : torch::autograd::Function<WideAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, std::int64_t heads) {
    return attended(context, &attend_wide, q, k, v, heads);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const std::int64_t heads = context->saved_data["heads"].toInt();
    const auto split = [&](const at::Tensor& t) { return t.unflatten(2, {heads, -1}).transpose(1, 2); };
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        split(grads[0].contiguous()), split(saved[0]), split(saved[1]), split(saved[2]), split(saved[3]), saved[4],
        /*dropout_p=*/0, /*is_causal=*/false);
    const auto joined = [](const at::Tensor& t) { return t.transpose(1, 2).flatten(2); };
    return {joined(dq), joined(dk), joined(dv), at::Tensor()};
  }
};

bool is_narrow(const at::Tensor& q, std::int64_t heads) {
  const std::int64_t channels = q.size(2) / heads;
  return q.is_cpu() && q.scalar_type() == at::kFloat && (channels == 8 || channels == 16);
}

/// Where it wins: many queries (./run bench sd-forward).
bool is_wide(const at::Tensor& q, std::int64_t heads) {
  const std::int64_t channels = q.size(2) / heads;
  return q.is_cpu() && q.scalar_type() == at::kFloat && channels > 16 && q.size(1) >= 1024;
}

at::Tensor by_libtorch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  const auto split = [&](const at::Tensor& t) { return t.unflatten(2, {heads, -1}).transpose(1, 2); };
  if (q.is_cuda()) return gpu_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2);
  return at::scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2);
}

}  // namespace

at::Tensor transformer_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  if (!is_wide(q, heads)) return by_libtorch(q, k, v, heads);
  const at::Tensor queries = q.contiguous(), keys = k.contiguous(), values = v.contiguous();
  if (at::GradMode::is_enabled() && !q.is_inference() &&
      (q.requires_grad() || k.requires_grad() || v.requires_grad())) {
    return WideAttention::apply(queries, keys, values, heads);
  }
  at::Tensor log_sum;
  return attend_wide(attention_shape(queries, keys, heads), queries, keys, values, log_sum);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  if (!is_narrow(q, heads)) return by_libtorch(q, k, v, heads);
  const at::Tensor queries = q.contiguous(), keys = k.contiguous(), values = v.contiguous();
  if (at::GradMode::is_enabled() && !q.is_inference() &&
      (q.requires_grad() || k.requires_grad() || v.requires_grad())) {
    return NarrowAttention::apply(queries, keys, values, heads);
  }
  at::Tensor log_sum;
  return attend(attention_shape(queries, keys, heads), queries, keys, values, log_sum);
}

}  // namespace guda::worker
