// How many forwards does a ranking need? Subsamples the stored losses of a finished run that was scored with many
// draws, and prints agreement with the oracle's own grid of other draws against the share of one full grid's forwards.
//   guda_bench_forwards RUN [--reference-draws N] [--repeat N] [--pilot QUERIES] [--json]
// Draw set 0 gives the reference, draw set 1 what is sampled; the pilot's queries (two draws of every timestep) are not
// evaluated. A timestep that is drawn more often than it was stored gets stored draws again: `again` is their share.
// Rows of pairs need a run with scoring.antithetic; all other rows use the first members, the draws of a run without.
// Races go in the product's rounds (jobs/race.hpp): a group that is decided within a round is scored to its end.
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
#include "common/raced_sums.hpp"
#include "common/racing.hpp"
#include "common/random.hpp"
#include "common/slot_sampling.hpp"
#include "jobs/race.hpp"
#include "orchestrator/results_file.hpp"
#include "orchestrator/run_layout.hpp"

using namespace guda;

namespace {

constexpr double kFloor = 0.1;

/// The oracle's loss differences, and the grid with its elbo weights per timestep.
struct Cube {
  std::size_t groups = 0, queries = 0, points = 0, draws = 0, members = 1;
  std::vector<std::uint32_t> timesteps;
  std::vector<double> weights;
  std::vector<double> differences;  ///< [query, group, point, draw, member], draw sets 0 and 1 one after the other

  [[nodiscard]] double at(std::size_t q, std::size_t k, std::size_t i, std::size_t j, bool negated = false) const {
    return differences[(((q * groups + k) * points + i) * 2 * draws + j) * members + (negated ? 1 : 0)];
  }
};

Cube cube_of(const orchestrator::ResultsTable& table) {
  const Json& experiment = table.attributes.at("experiment");
  const auto reference = experiment.at("comparison").at("reference").get<std::string>();
  const Json& scoring = experiment.at("scoring");
  if (scoring.value("allocation", "grid") != "grid") throw Error("the run has drawn slots; this subsamples a grid");
  Cube cube{.groups = table.groups(), .queries = table.queries(), .draws = scoring.at("draws")};
  if (scoring.value("antithetic", false)) cube.members = 2;
  if (cube.draws < 4) {
    throw Error("the run has fewer than 4 draws per timestep; guda run EXPERIMENT --set scoring.draws=16");
  }
  std::map<std::uint32_t, std::size_t> point_of;
  for (const jobs::Slot& slot : table.shape.slots) {
    if (!point_of.try_emplace(slot.timestep, cube.weights.size()).second) continue;
    cube.timesteps.push_back(slot.timestep);
    cube.weights.push_back(slot.weight * static_cast<double>(cube.draws * cube.members));
  }
  cube.points = cube.weights.size();
  cube.differences.resize(cube.queries * cube.groups * cube.points * 2 * cube.draws * cube.members);
  const auto& full = table.losses.at("full");
  const auto& without = table.losses.at(reference);
  for (std::size_t q = 0; q < cube.queries; ++q) {
    for (std::size_t k = 0; k < cube.groups; ++k) {
      for (std::size_t s = 0; s < table.slots(); ++s) {
        const jobs::Slot& slot = table.shape.slots[s];
        const std::size_t to =
            (((q * cube.groups + k) * cube.points + point_of.at(slot.timestep)) * 2 * cube.draws + slot.draw) *
            cube.members;
        const double d = static_cast<double>(without[(k * cube.queries + q) * table.slots() + s]) -
                         static_cast<double>(full[q * table.slots() + s]);
        if (!std::isfinite(d)) throw Error("not every slot of '" + reference + "' was scored; finish the run first");
        cube.differences[to + (slot.negated ? 1 : 0)] = d;
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
  double forwards = 0;  ///< per model and query, in full grids of one draw
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
            scores[k] += slots[s].weight * cube.at(q, k, slots[s].point, of[s], slots[s].negated);
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

  [[nodiscard]] Row stratified(const std::string& how, const std::vector<double>& p, std::uint32_t slots,
                               bool pairs = false) const {
    return sampled(fmt::format("{}, {} {}", how, slots, pairs ? "pairs" : "slots"), [&](std::uint64_t seed) {
      return sample_slots(weights, p, {.strata = slots / 2, .units_per_stratum = 2, .antithetic = pairs}, seed);
    });
  }

  /// Scores as the product makes them of a race's units, and whether its answer is that of all stored draws.
  [[nodiscard]] Row race(RaceUntil until, const std::string& name, const std::vector<double>& p, std::uint32_t per_unit,
                         std::uint32_t slots, bool pairs = false) const {
    Row row{.how = fmt::format("racing to {}, {} of at most {} {}", name, per_unit, slots, pairs ? "pairs" : "slots")};
    jobs::ScoringConfig scoring;
    scoring.slots = slots;
    scoring.unit = per_unit;
    const std::uint32_t most_units = jobs::most_units(scoring), members = pairs ? 2 : 1;
    const std::vector<std::uint32_t> ends = jobs::round_ends(scoring);
    double decided = 0, wrong = 0;
    const double share = 1.0 / static_cast<double>(repeat * queries.size());
    for (std::uint32_t r = 0; r < repeat; ++r) {
      const auto list = sample_slots(
          weights, p, {.strata = per_unit, .units_per_stratum = most_units, .antithetic = pairs}, random_bits(13, r));
      for (const std::size_t q : queries) {
        StoredDraws draws(cube, random_bits(14, r));
        Race race(static_cast<std::uint32_t>(cube.groups), {.until = until, .most_units = most_units});
        std::vector<std::vector<double>> terms(cube.groups, std::vector<double>(std::size_t{per_unit} * most_units));
        std::vector<std::size_t> units(cube.groups, 0);
        for (std::size_t round = 0, next = 0; round < ends.size() && !race.finished(); ++round) {
          std::vector<char> takes_part(cube.groups);
          for (std::uint32_t k = 0; k < cube.groups; ++k) takes_part[k] = race.live(k) ? 1 : 0;
          for (std::uint32_t unit = round == 0 ? 0 : ends[round - 1]; unit < ends[round]; ++unit) {
            std::vector<double> values(cube.groups, 0.0);
            for (std::uint32_t s = 0; s < per_unit * members; ++s, ++next) {
              const std::size_t draw = draws.of(list[next]);
              for (std::size_t k = 0; k < cube.groups; ++k) {
                const double term =
                    most_units * list[next].weight * cube.at(q, k, list[next].point, draw, list[next].negated);
                terms[k][std::size_t{list[next].stratum} * most_units + unit] += term;
                values[k] += term;
              }
            }
            if (!race.finished()) race.add(values);
          }
          for (std::size_t k = 0; k < cube.groups; ++k) {
            if (takes_part[k] != 0) units[k] = ends[round];
          }
        }
        std::size_t spent = *std::max_element(units.begin(), units.end());  // the full model's
        for (const std::size_t n : units) spent += n;
        row.forwards += share * static_cast<double>(spent * per_unit * members) /
                        static_cast<double>(cube.points * (cube.groups + 1));
        row.again += share * draws.share_again();
        std::vector<double> scores;
        for (const RacedSum& sum : raced_sums(terms, per_unit, units)) scores.push_back(sum.value);
        agree(row, q, scores, share);
        const auto order = race.order();
        std::vector<double> answer(cube.groups);
        for (std::size_t place = 0; place < order.size(); ++place) answer[order[place]] = -static_cast<double>(place);
        const std::size_t k = until == RaceUntil::top1 ? 1 : 3;
        decided += share * race.decided();
        wrong += share * (race.decided() && metrics::top_overlap(stored[q], answer, k) < 1);
      }
    }
    row.decided = decided;
    row.wrong = decided > 0 ? wrong / decided : std::nan("");
    return row;
  }
};

std::vector<double> pilot_spread(const Cube& cube, std::size_t pilot, bool pairs) {
  std::vector<double> differences;
  for (std::size_t q = 0; q < pilot; ++q) {
    for (std::size_t k = 0; k < cube.groups; ++k) {
      for (std::size_t i = 0; i < cube.points; ++i) {
        for (const std::size_t j : {std::size_t{0}, cube.draws}) {
          const auto value = [&](std::size_t g) {
            return pairs ? (cube.at(q, g, i, j) + cube.at(q, g, i, j, true)) / 2 : cube.at(q, g, i, j);
          };
          double mean = 0;  // the groups' common part moves no rank
          for (std::size_t g = 0; g < cube.groups; ++g) mean += value(g) / static_cast<double>(cube.groups);
          differences.push_back(value(k) - mean);
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
  const std::vector<double> adaptive = slot_probabilities(study.weights, pilot_spread(cube, pilot, false), kFloor);
  std::vector<Row> rows{study.full(1), study.full(2), study.full(4)};
  for (const std::uint32_t stride : {10U, 5U, 3U, 2U}) rows.push_back(study.strided(stride));
  const auto points = static_cast<std::uint32_t>(cube.points);
  for (const auto& [how, p] : {std::pair{"stratified", &flat}, {"by weight", &by_weight}, {"adaptive", &adaptive}}) {
    for (const std::uint32_t share : {10U, 5U, 3U, 2U, 1U})
      rows.push_back(study.stratified(how, *p, points / share / 2 * 2));
  }
  for (const std::uint32_t slots : {6U, 8U, 12U, 14U}) rows.push_back(study.stratified("adaptive", adaptive, slots));
  for (const std::uint32_t slots : {50U, 100U, 200U}) {
    if (slots < 200) rows.push_back(study.race(RaceUntil::top1, "top1", adaptive, 2, slots));
    rows.push_back(study.race(RaceUntil::top1, "top1", adaptive, 4, slots));
  }
  rows.push_back(study.race(RaceUntil::top3, "top3", adaptive, 4, 200));
  if (cube.members == 1) return rows;
  const std::vector<double> of_pairs = slot_probabilities(study.weights, pilot_spread(cube, pilot, true), kFloor);
  for (const std::uint32_t pairs : {2U, 4U, 6U, 8U, 16U, 24U, 50U})
    rows.push_back(study.stratified("adaptive", of_pairs, pairs, true));
  for (const std::uint32_t pairs : {24U, 50U, 100U})
    rows.push_back(study.race(RaceUntil::top1, "top1", of_pairs, 2, pairs, true));
  rows.push_back(study.race(RaceUntil::top3, "top3", of_pairs, 2, 100, true));
  return rows;
}

void print(const std::string& view, const std::vector<Row>& rows) {
  fmt::print("\n{}\n{:<40}{:>9}{:>8}{:>10}{:>8}{:>9}{:>8}\n", view, "how", "forwards", "top1", "spearman", "again",
             "decided", "wrong");
  const auto optional = [](double v) { return std::isnan(v) ? std::string() : fmt::format("{:.3f}", v); };
  for (const Row& row : rows) {
    fmt::print("{:<40}{:>9.3f}{:>8.3f}{:>10.3f}{:>8}{:>9}{:>8}\n", row.how, row.forwards, row.top1, row.spearman,
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
