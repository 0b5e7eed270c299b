#include "jobs/anchor_styles.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/error.hpp"

namespace guda::jobs {

std::vector<double> anchor_distribution(std::span<const double> cosines, std::size_t forgotten, double beta,
                                        double eta) {
  const std::size_t styles = cosines.size();
  if (styles < 2) throw Error("an anchor needs a style besides the forgotten one");
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t s = 0; s < styles; ++s) {
    if (s != forgotten) largest = std::max(largest, beta * cosines[s]);
  }
  std::vector<double> shares(styles, 0);
  for (std::size_t s = 0; s < styles; ++s) {
    if (s != forgotten) sum += shares[s] = std::exp(beta * cosines[s] - largest);
  }
  for (std::size_t s = 0; s < styles; ++s) {
    if (s != forgotten) shares[s] = (1 - eta) * shares[s] / sum + eta / static_cast<double>(styles - 1);
  }
  return shares;
}

std::size_t pick(std::span<const double> distribution, double uniform) {
  std::size_t last = 0;
  for (std::size_t s = 0; s < distribution.size(); ++s) {
    if (distribution[s] <= 0) continue;
    last = s;
    uniform -= distribution[s];
    if (uniform < 0) return s;
  }
  return last;  // rounding
}

}  // namespace guda::jobs
