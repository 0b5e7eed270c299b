#include "orchestrator/synthetic_jobs.hpp"

#include <algorithm>
#include <random>

namespace guda::orchestrator {

HugeVector<JobNode> synthetic_jobs(std::uint32_t count, double seconds, double spread, bool styles, std::uint64_t seed,
                                   std::uint32_t gang) {
  std::mt19937_64 random(seed);
  HugeVector<JobNode> jobs(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t place = styles ? i % (1 + kBlocksOfStyle) : 0;
    const double mean = place == 0 ? seconds : seconds / 5;
    jobs[i].cost = mean * (1 + spread * (2 * std::generate_canonical<double, 53>(random) - 1));
    jobs[i].kind = place == 0 ? 0 : 1;
    if (place > 0) jobs[i].inputs.emplace_back(i - place);
    if (i % 10 == 0) jobs[i].gang = static_cast<std::uint16_t>(gang);
  }
  return jobs;
}

double makespan_bound(const HugeVector<JobNode>& jobs, std::uint32_t workers) {
  double work = 0, longest = 0;
  std::vector<double> chain(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    for (const JobIndex input : jobs[i].inputs) chain[i] = std::max(chain[i], chain[input.value]);
    chain[i] += jobs[i].cost;
    work += jobs[i].cost * jobs[i].gang;
    longest = std::max(longest, chain[i]);
  }
  return std::max(work / workers, longest);
}

}  // namespace guda::orchestrator
