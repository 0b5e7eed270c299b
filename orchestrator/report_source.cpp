#include "orchestrator/report_source.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>
#include <optional>
#include <set>

#include "jobs/experiment_json.hpp"
#include "jobs/methods/methods.hpp"
#include "jobs/race.hpp"
#include "orchestrator/artifact_pictures.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/race_outcome.hpp"
#include "orchestrator/run_results.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace {

using report::ReportData;

constexpr std::size_t kCardsPerSet = 12;

std::size_t best_group(const GroupScores& scores, std::size_t query) {
  const double* row = scores.row(query);
  return static_cast<std::size_t>(std::max_element(row, row + scores.groups) - row);
}

/// Everything that several parts of the report need.
struct Source {
  const RunLayout& run;
  const jobs::Plan& plan;
  ResultsTable table;
  std::map<Digest, Commit> commits;
  std::vector<std::filesystem::path> folders;
  std::map<std::string, GroupScores> scores;  // by method, elbo weights
  std::vector<RaceOutcome> races;
};

/// What the report says a method does.
std::string description_of(const jobs::MethodConfig& m) {
  if (m.method == "guda") return "unlearning with " + m.unlearn.op + ", " + std::to_string(m.unlearn.steps) + " steps";
  std::string description(jobs::method_named(m.method).summary);
  if (m.method == "similarity") return "cosine between " + jobs::compared_features(m.similarity);
  if (m.method == "logo" && m.seed != 0) description += ", another training seed";
  return description;
}

std::string kind_of_method(const jobs::MethodConfig& m) {
  if (m.method == "logo") return "reference";
  if (m.method == "guda") return "guda";
  return jobs::method_named(m.method).fidelity == "control" ? "control" : "other";
}

report::MethodAnswer answer(const Source& s, const std::string& method, std::size_t query) {
  const GroupScores& scores = s.scores.at(method);
  report::MethodAnswer a{method, {}, false};
  if (!scores.evaluated(query)) return a;
  for (std::size_t g = 0; g < scores.groups; ++g) {
    a.top.push_back({s.plan.groups[g], scores.row(query)[g],
                     scores.error.empty() ? report::kUnknown : scores.error[query * scores.groups + g]});
  }
  std::stable_sort(a.top.begin(), a.top.end(), [](const auto& x, const auto& y) { return x.score > y.score; });
  a.undecided = report::undecided(a.top);
  for (const RaceOutcome& race : s.races) {
    const std::uint32_t draws = is_reference(s.plan.experiment, method) ? jobs::kOracleDraws : jobs::kMethodDraws;
    if (race.method == method && race.draw_set == draws) a.undecided = race.decided[query] == 0;
  }
  a.top.resize(std::min<std::size_t>(a.top.size(), 5));
  return a;
}

void fill_cards(const Source& s, ReportData& data) {
  const std::uint64_t seed = s.plan.experiment.seeds.front();
  for (const auto& job : s.plan.jobs) {
    const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
    if (sample == nullptr || !jobs::makes_queries(*sample)) continue;
    const auto pictures = pictures_of(s.folders, job.digest);
    std::size_t at = 0;
    while (at < s.plan.queries.size() && s.plan.queries[at].name != sample->names.front()) ++at;
    if (pictures.empty() || at == s.plan.queries.size() || s.plan.queries[at].seed != seed) continue;
    // Evenly spread over the set, so that the sample is not the first ones only.
    const std::size_t count = std::min(kCardsPerSet, pictures.size());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t within = i * pictures.size() / count;
      const jobs::Query& q = s.plan.queries[at + within];
      const std::string prompt = within < sample->prompts.size() ? sample->prompts[within] : "";
      report::QueryCard card{q.name, q.set, q.true_group, prompt, pictures[within], {}};
      card.asked_for = sample->set.kind == "generated" && !prompt.empty();
      for (const auto& m : s.plan.experiment.methods) card.answers.push_back(answer(s, m.name, at + within));
      data.cards.push_back(std::move(card));
    }
  }
  if (data.cards.empty())
    data.why_missing["cards"] = "The query pictures are not on disk (not drawn yet, or dropped by retention.keep).";
}

/// Class of a query for the tables: its true group, else the group that the oracle names.
std::optional<std::size_t> class_of(const Source& s, std::size_t query) {
  const std::string& truth = s.plan.queries[query].true_group;
  if (!truth.empty()) {
    const auto at = std::find(s.plan.groups.begin(), s.plan.groups.end(), truth);
    if (at != s.plan.groups.end()) return static_cast<std::size_t>(at - s.plan.groups.begin());
  }
  const auto reference = s.scores.find(s.plan.experiment.comparison.reference);
  if (reference == s.scores.end() || !reference->second.evaluated(query)) return std::nullopt;
  return best_group(reference->second, query);
}

std::set<std::string> query_sets(const jobs::Plan& plan) {
  std::set<std::string> sets;
  for (const auto& q : plan.queries) sets.insert(q.set);
  return sets;
}

void fill_heatmaps(const Source& s, ReportData& data) {
  const std::size_t groups = s.plan.groups.size();
  for (const std::string& set : query_sets(s.plan)) {
    for (const auto& m : s.plan.experiment.methods) {
      const GroupScores& scores = s.scores.at(m.name);
      report::Heatmap map{m.name,
                          set,
                          s.plan.groups,
                          s.plan.groups,
                          std::vector<double>(groups * groups, 0),
                          std::vector<std::uint32_t>(groups, 0)};
      for (std::size_t q = 0; q < s.plan.queries.size(); ++q) {
        const auto row = class_of(s, q);
        if (s.plan.queries[q].set != set || !row || !scores.evaluated(q)) continue;
        ++map.queries[*row];
        for (std::size_t g = 0; g < groups; ++g) map.mean[*row * groups + g] += scores.row(q)[g];
      }
      bool any = false;
      for (std::size_t r = 0; r < groups; ++r) {
        for (std::size_t g = 0; g < groups; ++g) {
          map.mean[r * groups + g] = map.queries[r] > 0 ? map.mean[r * groups + g] / map.queries[r] : report::kUnknown;
        }
        any = any || map.queries[r] > 0;
      }
      if (any) data.heatmaps.push_back(std::move(map));
    }
  }
}

void fill_profiles(const Source& s, ReportData& data) {
  const std::size_t groups = s.plan.groups.size(), slots = s.plan.slots.size(), per_set = slots / 2;
  data.own_group = s.plan.experiment.pipeline.empty()
                       ? "the group that the reference names first (the true class of real queries)"
                       : "the style that the prompt asks for, or that a given picture has";
  for (const std::string& set : query_sets(s.plan)) {
    for (const auto& m : s.plan.experiment.methods) {
      const auto losses = s.table.losses.find(m.name);
      if (losses == s.table.losses.end()) continue;
      const auto own_full = s.table.losses.find(own_full_name(m.name));
      const auto& full = own_full == s.table.losses.end() ? s.table.losses.at("full") : own_full->second;
      const std::size_t first = m.method == "logo" ? 0 : per_set;  // the draw set that the method's scores come from
      std::map<std::uint32_t, std::array<double, 2>> sum, squares;
      std::size_t own_count = 0;
      for (std::size_t q = 0; q < s.plan.queries.size(); ++q) {
        const auto own = class_of(s, q);
        if (s.plan.queries[q].set != set || !own || !s.scores.at(m.name).evaluated(q)) continue;
        ++own_count;
        std::map<std::uint32_t, std::array<double, 2>> mine;
        // A group that left a race has some of the slots: each stands for more.
        std::vector<double> share(groups, 1);
        for (std::size_t g = 0; g < groups && jobs::races(s.plan.experiment.scoring); ++g) {
          const float* const row = losses->second.data() + (g * s.plan.queries.size() + q) * slots + first;
          share[g] =
              double(std::count_if(row, row + per_set, [](float v) { return std::isfinite(v); })) / double(per_set);
        }
        for (std::size_t slot = first; slot < first + per_set; ++slot) {
          const double base = full[q * slots + slot];
          for (std::size_t g = 0; g < groups; ++g) {
            const double weight = s.plan.slots[slot].weight / share[g],
                         d = weight * (losses->second[(g * s.plan.queries.size() + q) * slots + slot] - base);
            if (share[g] < 1 && !std::isfinite(d)) continue;
            mine[s.plan.slots[slot].timestep][g == *own ? 0 : 1] += g == *own ? d : d / double(groups - 1);
          }
        }
        for (const auto& [t, d] : mine) {
          for (const std::size_t i : {0, 1}) {
            sum[t][i] += d[i];
            squares[t][i] += d[i] * d[i];
          }
        }
      }
      if (own_count < 2) continue;
      report::TimestepProfile p{m.name, set, {}, {}, {}, {}, {}};
      const auto error = [&](double total, double square) {
        const double mean = total / double(own_count);
        return std::sqrt(std::max(0.0, square / double(own_count) - mean * mean) / double(own_count - 1));
      };
      for (const auto& [t, d] : sum) {
        p.timestep.push_back(t);
        p.own.push_back(d[0] / double(own_count));
        p.others.push_back(d[1] / double(own_count));
        p.own_error.push_back(error(d[0], squares[t][0]));
        p.others_error.push_back(error(d[1], squares[t][1]));
      }
      data.profiles.push_back(std::move(p));
    }
  }
}

/// Previews are drawn by the first prompts of the first generated set.
std::vector<report::Gallery::Prompt> preview_prompts(const jobs::Plan& plan, const jobs::SampleSpec& preview) {
  std::vector<report::Gallery::Prompt> prompts;
  const auto& sets = plan.experiment.queries;
  const auto set = std::find_if(sets.begin(), sets.end(), [](const auto& q) { return q.kind == "generated"; });
  std::size_t at = 0;
  for (const jobs::Query& query : plan.queries) {
    if (set == sets.end() || query.set != set->name || at == preview.prompts.size()) continue;
    prompts.push_back({preview.prompts[at++], query.true_group});
  }
  return prompts;
}

void fill_gallery(const Source& s, ReportData& data) {
  std::map<Digest, Digest> preview_of;                               // weights -> Sample job
  std::map<Digest, std::pair<std::string, std::uint32_t>> place_of;  // weights -> method, group
  for (const auto& job : s.plan.jobs) {
    if (const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
        sample && sample->set.name == jobs::kPreviewSet) {
      preview_of[sample->from] = job.digest;
      if (data.gallery.prompts.empty()) data.gallery.prompts = preview_prompts(s.plan, *sample);
    }
    if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work)) {
      for (const auto& p : job.placements) place_of.try_emplace(score->weights, p.method, p.group);
    }
  }
  std::map<std::string, report::Gallery::Block> blocks;
  for (const auto& [weights, preview] : preview_of) {
    const auto place = place_of.find(weights);
    if (place == place_of.end()) continue;
    auto pictures = pictures_of(s.folders, preview);
    if (pictures.empty()) continue;
    const auto& [method, group] = place->second;
    if (method == "full") {
      data.gallery.full = std::move(pictures);
    } else {
      auto& rows = blocks[method].rows;
      rows.resize(s.plan.groups.size());
      rows[group] = {s.plan.groups[group], std::move(pictures)};
    }
  }
  for (const auto& m : s.plan.experiment.methods) {
    const auto block = blocks.find(m.name);
    if (block == blocks.end()) continue;
    block->second.method = m.name;
    std::erase_if(block->second.rows, [](const auto& row) { return row.pictures.empty(); });
    data.gallery.blocks.push_back(std::move(block->second));
  }
  if (data.gallery.full.empty())
    data.why_missing["gallery"] = "The previews are not on disk (not drawn yet, or dropped by retention.keep).";
}

/// Of the unlearning jobs that weigh by GUARD, means over the run seeds.
void fill_entanglement(const Source& s, ReportData& data) {
  std::map<Digest, std::pair<std::string, std::uint32_t>> place_of;  // weights -> method, group
  for (const auto& job : s.plan.jobs) {
    if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work)) {
      for (const auto& p : job.placements) place_of.try_emplace(score->weights, p.method, p.group);
    }
  }
  const std::size_t groups = s.plan.groups.size();
  struct Sum {
    double alignment = 0, spread = 0;
    int jobs = 0;
  };
  std::map<std::string, std::vector<Sum>> sums;
  for (const auto& job : s.plan.jobs) {
    const auto place = place_of.find(job.digest);
    const auto commit = s.commits.find(job.digest);
    if (!std::holds_alternative<jobs::UnlearnSpec>(job.work) || place == place_of.end() || commit == s.commits.end() ||
        !commit->second.metrics.contains("alignment_mean"))
      continue;
    auto& of_method = sums[place->second.first];
    of_method.resize(groups);
    Sum& sum = of_method[place->second.second];
    sum.alignment += commit->second.metrics.at("alignment_mean").get<double>();
    sum.spread += commit->second.metrics.at("alignment_sd").get<double>();
    ++sum.jobs;
  }
  for (const auto& [method, of_method] : sums) {
    report::Entanglement entanglement{method, {}};
    const GroupScores& scores = s.scores.at(method);
    for (std::size_t k = 0; k < groups; ++k) {
      if (of_method[k].jobs == 0) continue;
      report::Entanglement::Row row{.group = s.plan.groups[k]};
      row.images = s.plan.removal_sets.at(s.plan.group_removals[k]).items.size();
      row.alignment = of_method[k].alignment / of_method[k].jobs;
      row.spread = of_method[k].spread / of_method[k].jobs;
      double damage = 0;
      std::size_t queries = 0;
      for (std::size_t q = 0; q < scores.queries; ++q) {
        const auto own = class_of(s, q);
        if (!own || *own == k || !std::isfinite(scores.row(q)[k])) continue;
        damage += scores.row(q)[k];
        ++queries;
      }
      if (queries > 0) row.damage = damage / static_cast<double>(queries);
      entanglement.rows.push_back(std::move(row));
    }
    data.entanglement.push_back(std::move(entanglement));
  }
}

void fill_costs(const Source& s, ReportData& data) {
  std::map<std::string, std::map<std::string, report::MethodCost::Part>> parts;
  const auto charged = charged_methods(s.plan);
  for (const auto& job : s.plan.jobs) {
    const auto commit = s.commits.find(job.digest);
    const auto methods = charged.find(job.digest);
    if (commit == s.commits.end() || methods == charged.end()) continue;
    for (const std::string& method : methods->second) {
      auto& part = parts[method][jobs::kind_of(job.work)];
      part.kind = jobs::kind_of(job.work);
      part.device_seconds += device_seconds(job, commit->second, s.plan.numerics);
      ++part.jobs;
    }
  }
  std::vector<std::string> order{"full"};
  for (const auto& m : s.plan.experiment.methods) order.push_back(m.name);
  order.emplace_back(kEvaluationOwner);
  for (const auto& name : order) {
    report::MethodCost cost{name, {}};
    for (auto& [kind, part] : parts[name]) cost.parts.push_back(part);
    if (!cost.parts.empty()) data.costs.push_back(std::move(cost));
  }
}

void warn_of_races(const Source& s, ReportData& data) {
  const RaceReport report = race_report(s.table, s.plan);
  std::vector<std::string> lanes;
  for (const RaceSummary& lane : report.lanes) {
    if (lane.undecided.empty()) continue;
    lanes.push_back(fmt::format("{} {} of {}{}", lane.method, lane.undecided.size(), lane.queries,
                                lane.draw_set == jobs::kOracleDraws ? "" : fmt::format(" (draws {})", lane.draw_set)));
  }
  if (lanes.empty()) return;
  data.warnings.push_back(
      fmt::format("Races to {} ({} weights) left queries undecided, whose places are best guesses: {}.", report.until,
                  report.weighting, fmt::join(lanes, ", ")));
}

void fill_warnings(const Source& s, ReportData& data) {
  std::size_t open = 0;
  for (std::size_t q = 0; q < s.plan.queries.size(); ++q) {
    open +=
        std::any_of(s.scores.begin(), s.scores.end(), [&](const auto& m) { return !m.second.evaluated(q); }) ? 1 : 0;
  }
  if (open > 0)
    data.warnings.push_back(
        fmt::format("{} of {} queries are not evaluated by every method.", open, s.plan.queries.size()));
  warn_of_races(s, data);
  std::set<std::string> quarantined;
  for (const auto& record : read_journal(s.run.journal()).records) {
    if (record.type == RecordType::failure && record.body.value("quarantined", false)) {
      if (!s.commits.contains(Digest{record.body.at("job").get<std::string>()})) {
        quarantined.insert(record.body.at("label").get<std::string>() + ": " +
                           record.body.at("text").get<std::string>());
      }
    }
  }
  for (const auto& text : quarantined) data.warnings.push_back("Quarantined: " + text);
}

}  // namespace

report::ReportData report_data(const RunLayout& run, const jobs::Plan& plan) {
  Source s{run, plan, read_results(run.results()), commits_of(read_journal(run.journal())), artifact_folders(run),
           {},  {}};
  s.races = race_outcomes(s.table, plan);
  for (const auto& m : plan.experiment.methods) s.scores.emplace(m.name, main_scores(s.table, plan, m.name));

  ReportData data;
  data.title = "Group attribution: " + plan.experiment.name;
  data.created = fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)));
  data.experiment = plan.experiment.name;
  data.reference = plan.experiment.comparison.reference;
  data.groups = plan.groups;
  data.seeds = static_cast<std::uint32_t>(plan.experiment.seeds.size());
  data.confidence = plan.experiment.comparison.confidence;
  for (const auto& m : plan.experiment.methods) {
    data.methods.push_back({m.name, kind_of_method(m), description_of(m)});
  }
  data.comparison = to_json(compare_run(run, plan));
  if (plan.experiment.comparison.second_reference.empty()) {
    data.why_missing["ceiling"] =
        "The experiment has no second LOGO seed, so the ceiling is not known (comparison.second_reference).";
  }
  fill_cards(s, data);
  fill_heatmaps(s, data);
  fill_profiles(s, data);
  fill_gallery(s, data);
  fill_entanglement(s, data);
  fill_costs(s, data);
  fill_warnings(s, data);
  data.provenance = s.table.attributes;
  return data;
}

}  // namespace guda::orchestrator
