#include "worker/unlearn/neighbours.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

namespace guda::worker {
namespace {

constexpr std::int64_t kQueryBlock = 256;
constexpr std::int64_t kSpareCandidates = 16;

using Ranked = std::vector<std::pair<double, std::int64_t>>;  // squared distance, row

double squared_distance(const float* a, const float* b, std::int64_t d) {
  double sum = 0;
  for (std::int64_t i = 0; i < d; ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    sum += difference * difference;
  }
  return sum;
}

template <class Row>
Ranked rank(const float* query, const float* items, std::int64_t d, std::int64_t count, Row&& row) {
  Ranked ranked(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t item = row(i);
    ranked[static_cast<std::size_t>(i)] = {squared_distance(query, items + item * d, d), item};
  }
  std::sort(ranked.begin(), ranked.end());
  return ranked;
}

}  // namespace

Neighbours nearest_neighbours(const torch::Tensor& queries_in, const torch::Tensor& items_in, std::uint32_t k,
                              const std::function<void()>& poll) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor queries = queries_in.contiguous();
  const torch::Tensor items = items_in.contiguous();
  const std::int64_t m = queries.size(0), n = items.size(0), d = items.size(1);
  const std::int64_t wanted = k == 0 ? n : std::min<std::int64_t>(k, n);
  const std::int64_t candidates = std::min(n, wanted + kSpareCandidates);
  Neighbours result{torch::empty({m, wanted}, torch::kInt64), torch::empty({m, wanted}, torch::kFloat64)};
  const torch::Tensor item_norms = items.square().sum(1);
  const double largest_norm = n > 0 ? item_norms.max().item<double>() : 0;
  for (std::int64_t first = 0; first < m; first += kQueryBlock) {
    if (poll) poll();
    const torch::Tensor block = queries.narrow(0, first, std::min(kQueryBlock, m - first));
    torch::Tensor nearest, rough_distance;
    if (candidates < n) {
      const torch::Tensor rough = item_norms - 2 * block.matmul(items.t());  // + ||query||^2, equal for a row
      std::tie(rough_distance, nearest) = rough.topk(candidates, 1, /*largest=*/false, /*sorted=*/true);
    }
    for (std::int64_t i = 0; i < block.size(0); ++i) {
      const float* const query = block.data_ptr<float>() + i * d;
      const auto every_row = [](std::int64_t row) { return row; };
      Ranked ranked;
      if (candidates < n) {
        const auto* const row = nearest.data_ptr<std::int64_t>() + i * candidates;
        ranked = rank(query, items.data_ptr<float>(), d, candidates, [&](std::int64_t c) { return row[c]; });
        // Whatever was left out is at least this far away; float32 sums of d products err by less than `slack`.
        const double query_norm = block[i].square().sum().item<double>();
        const double slack =
            4.0 * std::numeric_limits<float>::epsilon() * static_cast<double>(d) * (query_norm + largest_norm);
        const double outside = rough_distance.data_ptr<float>()[i * candidates + candidates - 1] + query_norm - slack;
        if (ranked[static_cast<std::size_t>(wanted - 1)].first >= outside) ranked.clear();
      }
      if (ranked.empty()) ranked = rank(query, items.data_ptr<float>(), d, n, every_row);
      for (std::int64_t c = 0; c < wanted; ++c) {
        result.squared_distance.data_ptr<double>()[(first + i) * wanted + c] =
            ranked[static_cast<std::size_t>(c)].first;
        result.index.data_ptr<std::int64_t>()[(first + i) * wanted + c] = ranked[static_cast<std::size_t>(c)].second;
      }
    }
  }
  return result;
}

MirroredNeighbours nearest_neighbours_mirrored(const torch::Tensor& queries, const torch::Tensor& mirrored_queries,
                                               const torch::Tensor& items, std::uint32_t k,
                                               const std::function<void()>& poll) {
  // The k items that are nearest at their better orientation are among the k nearest of that orientation.
  const Neighbours sides[] = {nearest_neighbours(queries, items, k, poll),
                              nearest_neighbours(mirrored_queries, items, k, poll)};
  const std::int64_t m = queries.size(0), wanted = sides[0].index.size(1);
  MirroredNeighbours result{{torch::empty({m, wanted}, torch::kInt64), torch::empty({m, wanted}, torch::kFloat64)},
                            torch::empty({m, wanted}, torch::kBool)};
  std::vector<std::tuple<double, std::int64_t, bool>> ranked;
  std::vector<char> seen(static_cast<std::size_t>(items.size(0)), 0);
  for (std::int64_t q = 0; q < m; ++q) {
    ranked.clear();
    for (const bool mirrored : {false, true}) {
      for (std::int64_t i = q * wanted; i < (q + 1) * wanted; ++i) {
        ranked.emplace_back(sides[mirrored].squared_distance.data_ptr<double>()[i],
                            sides[mirrored].index.data_ptr<std::int64_t>()[i], mirrored);
      }
    }
    std::sort(ranked.begin(), ranked.end());
    std::int64_t place = q * wanted;
    for (const auto& [distance, item, mirrored] : ranked) {
      if (place == (q + 1) * wanted) break;
      if (std::exchange(seen[static_cast<std::size_t>(item)], 1) != 0) continue;
      result.nearest.index.data_ptr<std::int64_t>()[place] = item;
      result.nearest.squared_distance.data_ptr<double>()[place] = distance;
      result.mirrored.data_ptr<bool>()[place++] = mirrored;
    }
    for (const auto& entry : ranked) seen[static_cast<std::size_t>(std::get<1>(entry))] = 0;
  }
  return result;
}

}  // namespace guda::worker
