#include "jobs/pilot.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/random.hpp"
#include "common/slot_sampling.hpp"
#include "jobs/slot_lists.hpp"

namespace guda::jobs {
namespace {

constexpr std::uint32_t kFewest = 4;

bool is_pilot(const JobSpec& job) { return std::holds_alternative<ScoreSpec>(job.work) && job.placements.empty(); }

}  // namespace

std::vector<std::uint32_t> pilot_queries(const Experiment& experiment, std::uint32_t queries) {
  const auto share = static_cast<std::uint32_t>(std::ceil(experiment.scoring.pilot.share * queries));
  auto chosen = random_permutation(queries, (SeedPath(experiment.seeds.front()) / "scoring" / "pilot").value());
  chosen.resize(std::min(queries, std::max(kFewest, share)));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<std::size_t> pilot_jobs(const Plan& plan) {
  std::vector<std::size_t> jobs;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    if (is_pilot(plan.jobs[i])) jobs.push_back(i);
  }
  return jobs;
}

std::vector<double> pilot_spread(const Plan& plan, const std::vector<std::vector<float>>& losses) {
  const ScoringConfig& scoring = plan.experiment.scoring;
  const std::size_t points = scored_timesteps(scoring).size(), draws = scoring.pilot.draws,
                    members = scoring.antithetic ? 2 : 1, slots = points * draws * members;
  const std::vector<std::size_t> jobs = pilot_jobs(plan);
  if (losses.size() != jobs.size()) throw Error("a pilot has rows of another number of jobs");
  std::map<Digest, std::vector<std::size_t>> by_set;  // positions in `losses`: models that saw the same queries
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto& spec = std::get<ScoreSpec>(plan.jobs[jobs[i]].work);
    if (losses[i].size() != spec.count * slots) throw Error("rows of the pilot have another shape than its jobs");
    by_set[spec.queries].push_back(i);
  }
  std::vector<double> differences;  // [query and model, point, draw]
  for (const auto& [set, models] : by_set) {
    const std::size_t queries = losses[models.front()].size() / slots;
    for (std::size_t q = 0; q < queries; ++q) {
      std::vector<double> mean(slots, 0.0);
      for (const std::size_t m : models) {
        for (std::size_t s = 0; s < slots; ++s)
          mean[s] += losses[m][q * slots + s] / static_cast<double>(models.size());
      }
      for (const std::size_t m : models) {
        for (std::size_t i = 0; i < points; ++i) {
          for (std::size_t j = 0; j < draws; ++j) {
            double difference = 0;
            for (std::size_t member = 0; member < members; ++member) {
              const std::size_t s = (j * points + i) * members + member;
              difference += (losses[m][q * slots + s] - mean[s]) / static_cast<double>(members);
            }
            differences.push_back(difference);
          }
        }
      }
    }
  }
  return pooled_spread(differences, points, draws);
}

}  // namespace guda::jobs
