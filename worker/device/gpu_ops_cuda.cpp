#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/error.hpp"
#include "worker/device/gpu_ops.hpp"

namespace guda::worker::gpu {
namespace {

cuda::StreamHandle stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

cuda::Number number_of(const at::Tensor& t) {
  if (t.scalar_type() == at::kFloat) return cuda::Number::float32;
  if (t.scalar_type() == at::kBFloat16) return cuda::Number::bfloat16;
  throw Bug(std::string("a GPU kernel was given ") + at::toString(t.scalar_type()));
}

const cuda::NoisedRow* table_of(const at::Tensor& rows) {
  return static_cast<const cuda::NoisedRow*>(rows.const_data_ptr());
}

/// A copy on the device that the host does not wait for.
at::Tensor sent(const at::Tensor& values, const at::Device& device) {
  return values.pin_memory().to(device, /*non_blocking=*/true);
}

cuda::NormShape norm_shape(const at::Tensor& x, std::int64_t groups, double eps, bool silu) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), groups, static_cast<float>(eps), silu};
}

}  // namespace

at::Tensor normal(std::uint64_t seed, std::uint64_t query_id, std::uint32_t timestep, std::uint32_t draw,
                  at::IntArrayRef shape, const at::Device& device) {
  const c10::cuda::CUDAGuard guard(device);
  at::Tensor out = at::empty(shape, at::TensorOptions().dtype(at::kFloat).device(device));
  cuda::fill_normal(seed, query_id, timestep << 16 | draw, out.numel(), out.mutable_data_ptr<float>(), stream());
  return out;
}

at::Tensor pinned_rows(std::int64_t count) {
  return at::empty({count, static_cast<std::int64_t>(sizeof(cuda::NoisedRow))},
                   at::TensorOptions().dtype(at::kByte).pinned_memory(true));
}

at::Tensor device_rows(std::int64_t count, const at::Device& device) {
  return at::empty({count, static_cast<std::int64_t>(sizeof(cuda::NoisedRow))},
                   at::TensorOptions().dtype(at::kByte).device(device));
}

std::span<cuda::NoisedRow> rows_in(at::Tensor& pinned) {
  return {static_cast<cuda::NoisedRow*>(pinned.mutable_data_ptr()), static_cast<std::size_t>(pinned.size(0))};
}

void fill_rows(std::uint64_t seed, const at::Tensor& rows, std::int64_t count, at::Tensor& out) {
  const c10::cuda::CUDAGuard guard(out.device());
  cuda::fill_rows(seed, table_of(rows), count, out[0].numel(), out.mutable_data_ptr<float>(), stream());
}

BatchInputs make_inputs(std::int64_t rows, at::IntArrayRef image, const at::Device& device) {
  const at::TensorOptions numbers = at::TensorOptions().dtype(at::kFloat).device(device);
  std::vector<std::int64_t> shape{rows};
  shape.insert(shape.end(), image.begin(), image.end());
  return {at::empty(shape, numbers), at::empty({rows}, numbers.dtype(at::kLong)),
          at::empty({rows}, numbers.dtype(at::kLong)), at::empty({rows, 1, 1, 1}, numbers),
          at::empty({rows, 1, 1, 1}, numbers)};
}

void noised_rows(std::uint64_t seed, const at::Tensor& rows, const at::Tensor& clean, BatchInputs& out) {
  const c10::cuda::CUDAGuard guard(clean.device());
  cuda::noised_rows(seed, table_of(rows), out.x_t.size(0), clean[0].numel(), clean.const_data_ptr<float>(),
                    {out.x_t.mutable_data_ptr<float>(), out.timesteps.mutable_data_ptr<std::int64_t>(),
                     out.images.mutable_data_ptr<std::int64_t>(), out.gamma.mutable_data_ptr<float>(),
                     out.sigma.mutable_data_ptr<float>()},
                    stream());
}

void squared_errors(std::uint64_t seed, const at::Tensor& rows, const at::Tensor& predicted_in, at::Tensor& results) {
  const bool last = predicted_in.is_contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor predicted = last ? predicted_in : predicted_in.contiguous();
  const std::int64_t channels = predicted.size(1), pixels = predicted.size(2) * predicted.size(3);
  const cuda::RowLayout layout =
      last ? cuda::RowLayout{channels, pixels, 1, channels} : cuda::RowLayout{channels, pixels, pixels, 1};
  const c10::cuda::CUDAGuard guard(predicted.device());
  cuda::squared_errors(seed, table_of(rows), predicted.size(0), predicted.const_data_ptr(), number_of(predicted),
                       layout, results.mutable_data_ptr<float>(), stream());
}

at::Tensor gather_images(const at::Tensor& images, std::span<const std::uint32_t> items, const std::vector<bool>& flips,
                         const std::vector<float>& values) {
  const c10::cuda::CUDAGuard guard(images.device());
  const auto count = static_cast<std::int64_t>(items.size());
  at::Tensor chosen = at::empty({count}, at::kLong);
  std::copy(items.begin(), items.end(), chosen.mutable_data_ptr<std::int64_t>());
  chosen = sent(chosen, images.device());
  at::Tensor mirrored;
  if (!flips.empty()) {
    mirrored = at::empty({count}, at::kByte);
    std::copy(flips.begin(), flips.end(), mirrored.mutable_data_ptr<std::uint8_t>());
    mirrored = sent(mirrored, images.device());
  }
  cuda::PixelValues table{};
  std::copy_n(values.begin(), std::min<std::size_t>(values.size(), 256), table.value);
  at::Tensor out =
      at::empty({count, images.size(1), images.size(2), images.size(3)}, images.options().dtype(at::kFloat));
  cuda::gather_images(images.const_data_ptr<std::uint8_t>(), chosen.const_data_ptr<std::int64_t>(),
                      mirrored.defined() ? mirrored.const_data_ptr<std::uint8_t>() : nullptr, count,
                      images.size(1) * images.size(2), images.size(3), table, out.mutable_data_ptr<float>(), stream());
  return out;
}

bool takes_group_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta, std::int64_t groups) {
  return x.is_cuda() && x.dim() == 4 && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         gamma.scalar_type() == x.scalar_type() && beta.scalar_type() == x.scalar_type() &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) && cuda::takes(norm_shape(x, groups, 0, false));
}

at::Tensor group_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta, std::int64_t groups,
                      double eps, bool silu, at::Tensor& mean, at::Tensor& rstd) {
  const c10::cuda::CUDAGuard guard(x.device());
  mean = at::empty({x.size(0), groups}, x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous));
  rstd = at::empty_like(mean);
  at::Tensor y = at::empty_like(x, at::MemoryFormat::ChannelsLast);
  cuda::group_norm_forward(norm_shape(x, groups, eps, silu), number_of(x), x.const_data_ptr(), gamma.const_data_ptr(),
                           beta.const_data_ptr(), y.mutable_data_ptr(), mean.mutable_data_ptr<float>(),
                           rstd.mutable_data_ptr<float>(), stream());
  return y;
}

NormGradients group_norm_backward(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                                  std::int64_t groups, double eps, bool silu, const at::Tensor& mean,
                                  const at::Tensor& rstd, const at::Tensor& dy) {
  const c10::cuda::CUDAGuard guard(x.device());
  at::Tensor dx = at::empty_like(x, at::MemoryFormat::ChannelsLast);
  at::Tensor partial =
      at::empty({x.size(0), 2, x.size(1)}, x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous));
  cuda::group_norm_backward(norm_shape(x, groups, eps, silu), number_of(x), x.const_data_ptr(), gamma.const_data_ptr(),
                            beta.const_data_ptr(), mean.const_data_ptr<float>(), rstd.const_data_ptr<float>(),
                            dy.const_data_ptr(), dx.mutable_data_ptr(), partial.mutable_data_ptr<float>(), stream());
  const at::Tensor sums = partial.sum(0).to(gamma.scalar_type());
  return {dx, sums[0], sums[1]};
}

FusedAdamW::FusedAdamW(std::vector<at::Tensor> parameters, std::vector<at::Tensor> first,
                       std::vector<at::Tensor> second, std::vector<at::Tensor> halves)
    : parameters_(std::move(parameters)),
      first_(std::move(first)),
      second_(std::move(second)),
      halves_(std::move(halves)) {}

void FusedAdamW::step(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& averages,
                      const cuda::AdamWStep& step, double clip) {
  const c10::cuda::CUDAGuard guard(parameters_.at(0).device());
  std::vector<const void*> places;
  for (const at::Tensor& g : gradients) places.push_back(g.const_data_ptr());
  for (const at::Tensor& a : averages) places.push_back(a.const_data_ptr());
  // A replayed graph leaves gradients where they were, so that the table stays; an eager step often does.
  if (places != placed_) {
    std::vector<cuda::Piece> pieces;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const std::int64_t n = parameters_[i].numel();
      for (std::int64_t at = 0; at < n; at += cuda::kPiece) {
        const auto floats = [&](const at::Tensor& t) { return t.mutable_data_ptr<float>() + at; };
        cuda::Piece piece{};
        piece.parameter = floats(parameters_[i]);
        piece.first = floats(first_[i]);
        piece.second = floats(second_[i]);
        piece.average = averages.empty() ? nullptr : floats(averages[i]);
        if (halves_.empty()) {
          piece.gradient = gradients[i].const_data_ptr<float>() + at;
        } else {
          piece.half = static_cast<std::uint16_t*>(halves_[i].mutable_data_ptr()) + at;
          piece.half_gradient = static_cast<const std::uint16_t*>(gradients[i].const_data_ptr()) + at;
        }
        piece.count = std::min(cuda::kPiece, n - at);
        pieces.push_back(piece);
      }
    }
    pieces_ = static_cast<std::int64_t>(pieces.size());
    const auto bytes = static_cast<std::int64_t>(pieces.size() * sizeof(cuda::Piece));
    at::Tensor host = at::empty({bytes}, at::kByte);
    std::memcpy(host.mutable_data_ptr(), pieces.data(), static_cast<std::size_t>(bytes));
    table_ = sent(host, parameters_[0].device());
    scratch_ = at::empty({pieces_ + 1}, parameters_[0].options().dtype(at::kDouble));
    placed_ = std::move(places);
  }
  cuda::adamw(static_cast<const cuda::Piece*>(table_.const_data_ptr()), pieces_, step, clip,
              scratch_.mutable_data_ptr<double>(), stream());
}

}  // namespace guda::worker::gpu
