#include "worker/attribution/kernel_density.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/digest.hpp"
#include "worker/diffusion/noise.hpp"

namespace guda::worker {
namespace {

constexpr std::int64_t kRowsAtOnce = 512;

torch::Tensor squared_distances(const torch::Tensor& a, const torch::Tensor& b) {
  return (a.square().sum(1, true) + b.square().sum(1).unsqueeze(0) - 2 * a.matmul(b.t())).clamp_min(0);
}

}  // namespace

double kernel_width(const torch::Tensor& items, const std::function<void()>& poll) {
  const torch::Tensor rows = items.to(torch::kFloat64);
  double sum = 0;
  for (std::int64_t first = 0; first < rows.size(0); first += kRowsAtOnce) {
    if (poll) poll();
    const std::int64_t count = std::min(kRowsAtOnce, rows.size(0) - first);
    torch::Tensor distance = squared_distances(rows.narrow(0, first, count), rows);
    for (std::int64_t i = 0; i < count; ++i) distance[i][first + i] = std::numeric_limits<double>::infinity();
    sum += std::get<0>(distance.min(1)).sum().item<double>();
  }
  return std::sqrt(sum / static_cast<double>(rows.numel()));
}

std::vector<double> kernel_density_scores(const torch::Tensor& queries, std::span<const std::string> names,
                                          const torch::Tensor& items, std::span<const std::vector<std::int64_t>> groups,
                                          std::span<const DensityLevel> levels, double width, std::uint64_t seed,
                                          const std::function<void()>& poll) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x0 = queries.to(torch::kFloat64), data = items.to(torch::kFloat64);
  torch::Tensor scores = torch::zeros({x0.size(0), static_cast<std::int64_t>(groups.size())}, torch::kFloat64);
  torch::Tensor noise = torch::empty(queries.sizes(), torch::kFloat32);
  const auto size = static_cast<std::size_t>(queries.size(1));
  for (const DensityLevel& level : levels) {
    if (poll) poll();
    const double gamma = std::sqrt(level.alpha_bar), sigma = std::sqrt(1 - level.alpha_bar);
    for (std::size_t q = 0; q < names.size(); ++q)
      fill_normal(seed, query_id(names[q]), level.timestep, 0, {noise.data_ptr<float>() + q * size, size});
    const torch::Tensor eps = noise.to(torch::kFloat64), x_t = gamma * x0 + sigma * eps;
    // x_t given item i is N(gamma a_i, spread); E[eps | x_t, i] = sigma (x_t - gamma a_i) / spread.
    const double spread = sigma * sigma + gamma * gamma * width * width;
    const torch::Tensor logit = -squared_distances(x_t, gamma * data) / (2 * spread);
    const auto errors = [&](const torch::Tensor& allowed) {
      const torch::Tensor mean = torch::softmax(logit + allowed, 1).matmul(data);
      return (eps - sigma / spread * (x_t - gamma * mean)).square().sum(1);
    };
    const torch::Tensor everything = torch::zeros({data.size(0)}, torch::kFloat64), full = errors(everything);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      if (groups[g].size() == static_cast<std::size_t>(data.size(0))) continue;
      torch::Tensor allowed = everything.clone();
      allowed.index_fill_(0, torch::tensor(groups[g], torch::kInt64), -std::numeric_limits<double>::infinity());
      scores.select(1, static_cast<std::int64_t>(g)).add_(errors(allowed) - full, level.weight);
    }
  }
  return {scores.data_ptr<double>(), scores.data_ptr<double>() + scores.numel()};
}

}  // namespace guda::worker
