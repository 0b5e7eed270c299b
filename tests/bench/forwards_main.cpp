// How many forwards does a ranking need? Subsamples the stored losses of a finished run that was scored with many
// draws, and prints agreement with the oracle's own grid of other draws against the share of one full grid's forwards.
//   guda_bench_forwards RUN [--reference-draws N] [--repeat N] [--pilot QUERIES] [--json]
// Draw set 0 gives the reference, draw set 1 what is sampled; the pilot's queries (two draws of every timestep) are not
// evaluated. A timestep that is drawn more often than it was stored gets stored draws again: `again` is their share.
// Antithetic pairs are not in a results file and so not in this table.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "common/error.hpp"
#include "common/json.hpp"
#include "common/metrics.hpp"
#include "common/racing.hpp"
#include "common/random.hpp"
#include "common/slot_sampling.hpp"
#include "orchestrator/results_file.hpp"
#include "orchestrator/run_layout.hpp"

using namespace guda;

namespace {

constexpr double kFloor = 0.1;

/// The oracle's loss differences, and the grid with its elbo weights per timestep.
struct Cube {
  std::size_t groups = 0, queries = 0, points = 0, draws = 0;
  std::vector<std::uint32_t> timesteps;
  std::vector<double> weights;
  std::vector<double> differences;  ///< [query, group, point, draw], draw sets 0 and 1 one after the other

  [[nodiscard]] double at(std::size_t q, std::size_t k, std::size_t i, std::size_t j) const {
    return differences[((q * groups + k) * points + i) * 2 * draws + j];
  }
};

Cube cube_of(const orchestrator::ResultsTable& table) {
  const Json& experiment = table.attributes.at("experiment");
  const auto reference = experiment.at("comparison").at("reference").get<std::string>();
  const Json& scoring = experiment.at("scoring");
  if (scoring.value("allocation", "grid") != "grid" || scoring.value("antithetic", false)) {
    throw Error("the run has drawn slots or pairs; this subsamples a plain grid");
  }
  Cube cube{.groups = table.groups(), .queries = table.queries(), .draws = scoring.at("draws")};
  if (cube.draws < 4) {
    throw Error("the run has fewer than 4 draws per timestep; guda run EXPERIMENT --set scoring.draws=16");
  }
  std::map<std::uint32_t, std::size_t> point_of;
  for (const jobs::Slot& slot : table.shape.slots) {
    if (!point_of.try_emplace(slot.timestep, cube.weights.size()).second) continue;
    cube.timesteps.push_back(slot.timestep);
    cube.weights.push_back(slot.weight * static_cast<double>(cube.draws));
  }
  cube.points = cube.weights.size();
  cube.differences.resize(cube.queries * cube.groups * cube.points * 2 * cube.draws);
  const auto& full = table.losses.at("full");
  const auto& without = table.losses.at(reference);
  for (std::size_t q = 0; q < cube.queries; ++q) {
    for (std::size_t k = 0; k < cube.groups; ++k) {
      for (std::size_t s = 0; s < table.slots(); ++s) {
        const jobs::Slot& slot = table.shape.slots[s];
        const std::size_t to = ((q * cube.groups + k) * cube.points + point_of.at(slot.timestep)) * 2 * cube.draws;
        const double d = static_cast<double>(without[(k * cube.queries + q) * table.slots() + s]) -
                         static_cast<double>(full[q * table.slots() + s]);
        if (!std::isfinite(d)) throw Error("not every slot of '" + reference + "' was scored; finish the run first");
        cube.differences[to + slot.draw] = d;
      }
    }
  }
  return cube;
}

/// Stored draws of set 1 in a random order per repetition and timestep, then again at random.
class StoredDraws {
 public:
  StoredDraws(const Cube& cube, std::uint64_t seed) : draws_(cube.draws), seed_(seed) {
    for (std::size_t i = 0; i < cube.points; ++i) {
      order_.push_back(random_permutation(static_cast<std::uint32_t>(draws_), random_bits(seed, i)));
    }
  }
  std::size_t of(const SampledSlot& slot) {
    ++asked_;
    if (slot.draw < draws_) return draws_ + order_[slot.point][slot.draw];
    ++again_;
    return draws_ + random_bits(random_bits(seed_ + 1, slot.point), slot.draw) % draws_;
  }
  [[nodiscard]] double share_again() const { return asked_ == 0 ? 0 : again_ / asked_; }

 private:
  std::size_t draws_;
  std::uint64_t seed_;
  std::vector<std::vector<std::uint32_t>> order_;
  double asked_ = 0, again_ = 0;
};

struct Row {
  std::string how;
  double forwards = 0;  ///< per counterfactual model and query, in full grids of one draw
  double top1 = 0, spearman = 0, again = 0;
  double decided = std::nan(""),
         wrong = std::nan("");  ///< races: share decided, share of those against the stored mean
};

struct Study {
  const Cube& cube;
  std::vector<std::size_t> queries;            ///< evaluated
  std::vector<double> weights;                 ///< of this view
  std::vector<std::vector<double>> reference;  ///< [query][group]
  std::vector<std::vector<double>> stored;     ///< the same from all draws that are sampled from
  std::uint32_t repeat = 100;

  [[nodiscard]] std::vector<std::vector<double>> grid(std::size_t first, std::size_t count) const {
    std::vector<std::vector<double>> scores(cube.queries, std::vector<double>(cube.groups, 0.0));
    for (std::size_t q = 0; q < cube.queries; ++q) {
      for (std::size_t k = 0; k < cube.groups; ++k) {
        for (std::size_t i = 0; i < cube.points; ++i) {
          for (std::size_t j = 0; j < count; ++j) {
            scores[q][k] += weights[i] * cube.at(q, k, i, first + j) / static_cast<double>(count);
          }
        }
      }
    }
    return scores;
  }

  void agree(Row& row, std::size_t q, const std::vector<double>& scores, double share) const {
    const auto best = [](const std::vector<double>& v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
    row.top1 += share * static_cast<double>(best(scores) == best(reference[q]));
    row.spearman += share * metrics::spearman(reference[q], scores);
  }

  /// A full grid of `count` draws, averaged over the disjoint ones that are stored.
  [[nodiscard]] Row full(std::size_t count) const {
    Row row{.how = fmt::format("full grid, {} draw{}", count, count == 1 ? "" : "s"),
            .forwards = static_cast<double>(count)};
    const std::size_t grids = cube.draws / count;
    for (std::size_t g = 0; g < grids; ++g) {
      const auto scores = grid(cube.draws + g * count, count);
      for (const std::size_t q : queries) agree(row, q, scores[q], 1.0 / static_cast<double>(grids * queries.size()));
    }
    return row;
  }

  /// `slots_of(seed)` weights that sum to the grid's score.
  [[nodiscard]] Row sampled(std::string how,
                            const std::function<std::vector<SampledSlot>(std::uint64_t)>& slots_of) const {
    Row row{.how = std::move(how)};
    const double share = 1.0 / static_cast<double>(repeat * queries.size());
    for (std::uint32_t r = 0; r < repeat; ++r) {
      const auto slots = slots_of(random_bits(11, r));
      StoredDraws draws(cube, random_bits(12, r));
      std::vector<std::size_t> of;
      for (const SampledSlot& slot : slots) of.push_back(draws.of(slot));
      row.forwards += static_cast<double>(slots.size());
      row.again += draws.share_again() / repeat;
      for (const std::size_t q : queries) {
        std::vector<double> scores(cube.groups, 0.0);
        for (std::size_t s = 0; s < slots.size(); ++s) {
          for (std::size_t k = 0; k < cube.groups; ++k) {
            scores[k] += slots[s].weight * cube.at(q, k, slots[s].point, of[s]);
          }
        }
        agree(row, q, scores, share);
      }
    }
    row.forwards /= static_cast<double>(cube.points * repeat);
    return row;
  }

  [[nodiscard]] Row strided(std::uint32_t stride) const {
    return sampled(fmt::format("uniform, 1 of {} timesteps", stride), [this, stride](std::uint64_t seed) {
      std::vector<SampledSlot> slots;
      for (auto i = static_cast<std::uint32_t>(seed % stride); i < cube.points; i += stride) {
        slots.push_back({.point = i, .weight = weights[i] * stride});
      }
      return slots;
    });
  }

  [[nodiscard]] Row stratified(const std::string& how, const std::vector<double>& p, std::uint32_t slots) const {
    return sampled(fmt::format("{}, {} slots", how, slots), [&](std::uint64_t seed) {
      return sample_slots(weights, p, {.strata = slots / 2, .units_per_stratum = 2}, seed);
    });
  }

  [[nodiscard]] Row race(RaceUntil until, const std::string& name, const std::vector<double>& p, std::uint32_t per_unit,
                         std::uint32_t most_units) const {
    Row row{.how = fmt::format("racing to {}, {} slots a unit", name, per_unit)};
    double decided = 0, wrong = 0;
    const double share = 1.0 / static_cast<double>(repeat * queries.size());
    for (std::uint32_t r = 0; r < repeat; ++r) {
      const auto slots =
          sample_slots(weights, p, {.strata = per_unit, .units_per_stratum = most_units}, random_bits(13, r));
      for (const std::size_t q : queries) {
        StoredDraws draws(cube, random_bits(14, r));
        Race race(static_cast<std::uint32_t>(cube.groups), {.until = until, .most_units = most_units});
        for (std::size_t next = 0; !race.finished();) {
          std::vector<double> values(cube.groups, 0.0);
          for (std::uint32_t s = 0; s < per_unit; ++s, ++next) {
            const std::size_t draw = draws.of(slots[next]);
            for (std::size_t k = 0; k < cube.groups; ++k) {
              values[k] += most_units * slots[next].weight * cube.at(q, k, slots[next].point, draw);
            }
          }
          race.add(values);
        }
        for (const std::uint32_t units : race.spent()) {
          row.forwards += share * units * per_unit / static_cast<double>(cube.points * cube.groups);
        }
        row.again += share * draws.share_again();
        const auto order = race.order();
        std::vector<double> scores(cube.groups);
        for (std::size_t place = 0; place < order.size(); ++place) scores[order[place]] = -static_cast<double>(place);
        agree(row, q, scores, share);
        const std::size_t k = until == RaceUntil::top1 ? 1 : 3;
        decided += share * race.decided();
        wrong += share * (race.decided() && metrics::top_overlap(stored[q], scores, k) < 1);
      }
    }
    row.decided = decided;
    row.wrong = decided > 0 ? wrong / decided : std::nan("");
    return row;
  }
};

std::vector<double> pilot_spread(const Cube& cube, std::size_t pilot) {
  std::vector<double> differences;
  for (std::size_t q = 0; q < pilot; ++q) {
    for (std::size_t k = 0; k < cube.groups; ++k) {
      for (std::size_t i = 0; i < cube.points; ++i) {
        for (const std::size_t j : {std::size_t{0}, cube.draws}) {
          double mean = 0;  // the groups' common part moves no rank
          for (std::size_t other = 0; other < cube.groups; ++other) {
            mean += cube.at(q, other, i, j) / static_cast<double>(cube.groups);
          }
          differences.push_back(cube.at(q, k, i, j) - mean);
        }
      }
    }
  }
  return pooled_spread(differences, cube.points, 2);
}

std::vector<Row> study(const Cube& cube, std::vector<double> weights, std::size_t pilot, std::size_t reference_draws,
                       std::uint32_t repeat) {
  Study study{
      .cube = cube, .queries = {}, .weights = std::move(weights), .reference = {}, .stored = {}, .repeat = repeat};
  for (std::size_t q = pilot; q < cube.queries; ++q) study.queries.push_back(q);
  study.reference = study.grid(0, reference_draws);
  study.stored = study.grid(cube.draws, cube.draws);
  const std::vector<double> flat = slot_probabilities(study.weights, std::vector<double>(cube.points, 0.0), 1);
  const std::vector<double> by_weight =
      slot_probabilities(study.weights, std::vector<double>(cube.points, 1.0), kFloor);
  const std::vector<double> adaptive = slot_probabilities(study.weights, pilot_spread(cube, pilot), kFloor);
  std::vector<Row> rows{study.full(1), study.full(2), study.full(4)};
  for (const std::uint32_t stride : {10U, 5U, 3U, 2U}) rows.push_back(study.strided(stride));
  const auto points = static_cast<std::uint32_t>(cube.points);
  for (const auto& [how, p] : {std::pair{"stratified", &flat}, {"by weight", &by_weight}, {"adaptive", &adaptive}}) {
    for (const std::uint32_t share : {10U, 5U, 3U, 2U, 1U})
      rows.push_back(study.stratified(how, *p, points / share / 2 * 2));
  }
  rows.push_back(study.race(RaceUntil::top1, "top1", adaptive, 2, 50));
  rows.push_back(study.race(RaceUntil::top1, "top1", adaptive, 4, 50));
  rows.push_back(study.race(RaceUntil::top3, "top3", adaptive, 4, 50));
  return rows;
}

void print(const std::string& view, const std::vector<Row>& rows) {
  fmt::print("\n{}\n{:<34}{:>9}{:>8}{:>10}{:>8}{:>9}{:>8}\n", view, "how", "forwards", "top1", "spearman", "again",
             "decided", "wrong");
  const auto optional = [](double v) { return std::isnan(v) ? std::string() : fmt::format("{:.3f}", v); };
  for (const Row& row : rows) {
    fmt::print("{:<34}{:>9.3f}{:>8.3f}{:>10.3f}{:>8}{:>9}{:>8}\n", row.how, row.forwards, row.top1, row.spearman,
               row.again > 0 ? fmt::format("{:.3f}", row.again) : "", optional(row.decided), optional(row.wrong));
  }
}

int run(const std::vector<std::string>& words) {
  std::string folder;
  std::size_t reference_draws = 0, pilot = 0, repeat = 100;
  bool json = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto number = [&] {
      if (i + 1 == words.size()) throw Error(words[i] + " wants a number");
      return std::stoul(words[++i]);
    };
    if (words[i] == "--reference-draws") reference_draws = number();
    else if (words[i] == "--pilot") pilot = number();
    else if (words[i] == "--repeat") repeat = number();
    else if (words[i] == "--json") json = true;
    else folder = words[i];
  }
  if (folder.empty())
    throw Error("usage: guda_bench_forwards RUN [--reference-draws N] [--repeat N] [--pilot N] [--json]");
  const orchestrator::ResultsTable table = orchestrator::read_results(orchestrator::RunLayout{folder}.results());
  const Cube cube = cube_of(table);
  if (reference_draws == 0 || reference_draws > cube.draws) reference_draws = cube.draws;
  if (pilot == 0) pilot = std::max<std::size_t>(2, cube.queries / 25);
  if (pilot >= cube.queries) throw Error("the pilot leaves no query to evaluate");
  const std::uint32_t timesteps = table.attributes.at("experiment").at("diffusion").at("timesteps");
  Json views = Json::array();
  if (!json) {
    fmt::print(
        "{} queries of {} groups, {} timesteps; reference: {} other draws a timestep; pilot: {} more queries, {:.3f} "
        "full grids a query when spread over all\n",
        cube.queries - pilot, cube.groups, cube.points, reference_draws, pilot,
        2 * static_cast<double>(pilot) / static_cast<double>(cube.queries));
  }
  for (const std::string view : {"elbo", "mid"}) {
    std::vector<double> weights = cube.weights;
    for (std::size_t i = 0; i < cube.points; ++i) {
      const std::uint32_t t = cube.timesteps[i];
      if (view == "mid" && (t < timesteps / 10 || t >= timesteps - timesteps / 10)) weights[i] = 0;
    }
    const auto rows = study(cube, std::move(weights), pilot, reference_draws, static_cast<std::uint32_t>(repeat));
    if (!json) print(view + " weights", rows);
    for (const Row& row : rows) {
      views.push_back({{"view", view},
                       {"how", row.how},
                       {"forwards", row.forwards},
                       {"top1", row.top1},
                       {"spearman", row.spearman},
                       {"again", row.again},
                       {"decided", row.decided},
                       {"wrong", row.wrong}});
    }
  }
  if (json) fmt::print("{}\n", views.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "guda_bench_forwards: {}\n", error.what());
    return 2;
  }
}
