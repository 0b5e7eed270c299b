#include "orchestrator/attribution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/dataset.hpp"
#include "jobs/planner.hpp"
#include "jobs/query_image.hpp"
#include "jobs/race.hpp"
#include "jobs/slot_lists.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/race_outcome.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/stages.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

const jobs::MethodConfig& chosen_method(const jobs::Experiment& e, const std::string& name) {
  std::string usable;
  const jobs::MethodConfig* chosen = nullptr;
  for (const auto& m : e.methods) {
    if (!leaves_losses(m) || has_own_full(m)) continue;
    usable += (usable.empty() ? "" : ", ") + m.name;
    const bool first_guda = name.empty() && m.method == "guda" && (chosen == nullptr || chosen->method != "guda");
    if (m.name == name || first_guda || (name.empty() && chosen == nullptr)) chosen = &m;
  }
  if (chosen == nullptr)
    throw Error("the run has no method '" + name + "' with counterfactual models (it has: " + usable + ")");
  return *chosen;
}

/// Name under which an image is kept: content first, so that equal names with other pixels are other queries.
std::string stored_name(const fs::path& image) {
  std::string stem;
  for (const char c : image.stem().string()) stem += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return digest_of_file(image).hex.substr(0, 12) + "-" + stem.substr(0, 40) + image.extension().string();
}

/// All that is wrong with the images at once, before anything is made or paid for.
void check_images(const std::vector<fs::path>& images, const jobs::Dataset& dataset) {
  std::string faults;
  for (const fs::path& image : images) {
    try {
      if (!fs::is_regular_file(image)) throw Error(image.string() + ": no such file");
      static_cast<void>(jobs::read_query_image(image, dataset));
    } catch (const Error& error) {
      faults += (faults.empty() ? "" : "\n") + std::string(error.what());
    }
  }
  if (!faults.empty()) throw Error(faults);
}

void check_prompts(const AttributionRequest& request, const jobs::Experiment& e) {
  const std::size_t prompts = request.prompts.size(), images = request.images.size();
  if (e.pipeline.empty() && prompts > 0) throw Error("--prompt: the run's models are told no text; leave it out");
  if (!e.pipeline.empty() && prompts != 1 && prompts != images)
    throw Error(
        fmt::format("--prompt: a text-to-image run wants what the images show: one prompt for all {} or one "
                    "each, for example --prompt 'A depiction of Seven'",
                    images));
}

/// Paired difference of the two best groups in standard errors of its noise draws.
bool is_undecided(const ResultsTable& table, const jobs::Plan& plan, const std::string& method, std::size_t query,
                  std::size_t a, std::size_t b) {
  const std::size_t slots = plan.slots.size(), first = slots / 2;
  const auto& losses = table.losses.at(method);
  std::map<std::uint32_t, std::vector<double>> by_timestep;
  for (std::size_t s = first; s < slots; ++s) {
    const auto loss = [&](std::size_t g) { return double(losses[(g * table.queries() + query) * slots + s]); };
    const double term = plan.slots[s].weight * (loss(a) - loss(b));
    auto& draws = by_timestep[plan.slots[s].timestep];
    if (plan.slots[s].negated) draws.back() += term;  // the pair is one draw
    else draws.push_back(term);
  }
  double difference = 0, variance = 0;
  for (const auto& [t, u] : by_timestep) {
    const double n = double(u.size()), mean = std::accumulate(u.begin(), u.end(), 0.0) / n;
    difference += mean * n;
    double square = 0;
    for (const double x : u) square += (x - mean) * (x - mean);
    variance += n > 1 ? n * square / (n - 1) : 0;
  }
  return std::abs(difference) < 2 * std::sqrt(variance);
}

}  // namespace

void set_attribution_slots(jobs::Experiment& experiment, const AttributionRequest& request,
                           const std::vector<double>& pilot_spread) {
  jobs::ScoringConfig& scoring = experiment.scoring;
  scoring.pilot = {};
  scoring.until = request.until;
  if (!jobs::races(scoring)) {
    scoring.draws = request.draws;
    scoring.allocation = "grid";  // of few images a pilot would learn little
    scoring.slots = 0;
    return;
  }
  // The oracle's own models would be piloted anew.
  const bool oracle = experiment.methods.front().method == "logo";
  scoring.allocation = pilot_spread.empty() || oracle ? "weight" : "adaptive";
  scoring.draws = 1;
  const std::uint32_t unit = scoring.unit, least = jobs::kFirstDecision * unit;
  if (request.slots < least || request.slots % unit != 0) {
    throw Error(fmt::format("--slots: {} is no multiple of {} or less than {} units of {} slots; choose {}",
                            request.slots, unit, jobs::kFirstDecision, unit,
                            std::max(least, (request.slots + unit - 1) / unit * unit)));
  }
  scoring.slots = request.slots;
}

PreparedAttribution prepare_attribution(const RunLayout& parent, const AttributionRequest& request) {
  const jobs::Plan before = load_plan(parent);
  jobs::Experiment e = before.experiment;
  const jobs::MethodConfig method = chosen_method(e, request.method);
  std::string identity = method.name + " " + std::to_string(request.draws);
  std::vector<std::string> names;
  const jobs::Dataset dataset = jobs::load_dataset(e.dataset);
  check_images(request.images, dataset);
  check_prompts(request, e);
  e.methods = {method};
  set_attribution_slots(e, request, before.pilot_spread);
  for (const fs::path& image : request.images) {
    names.push_back(stored_name(image));
    identity += " " + names.back();
  }
  for (const std::string& prompt : request.prompts) identity += "\n" + prompt;
  if (request.until != "all") identity += fmt::format("\nuntil {} {}", request.until, request.slots);
  PreparedAttribution prepared{
      RunLayout{parent.folder / "attributions" / digest_of(identity).hex.substr(0, 12)}, {}, method.name, 0};
  make_run_folders(prepared.run);
  const fs::path store = prepared.run.folder / "images";
  fs::create_directories(store);
  jobs::QuerySetConfig set;
  set.name = "images";
  set.kind = "images";
  set.count = static_cast<std::uint32_t>(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!fs::exists(store / names[i])) replace_file(store / names[i], read_file(request.images[i]), true);
    set.images.push_back(fs::absolute(store / names[i]).lexically_normal());
  }
  set.prompts = request.prompts;
  if (set.prompts.size() == 1) set.prompts.resize(set.images.size(), set.prompts.front());
  e.name = e.name + "-attribution";
  e.seeds.resize(1);
  e.queries = {set};
  e.comparison.reference = method.name;
  e.comparison.second_reference.clear();
  e.evaluation = {};
  e.retention.keep = "all";
  prepared.planned.plan = jobs::make_plan(e, dataset, before.numerics, false, before.pilot_spread);
  prepared.planned.plan = plan_so_far(prepared.run, std::move(prepared.planned.plan));

  Json reuse = Json::array();
  for (const auto& folder : artifact_folders(parent)) reuse.push_back(fs::absolute(folder).lexically_normal().string());
  replace_file(prepared.run.folder / "reuse.json", reuse.dump(1), true);
  const auto settled = settled_jobs(prepared.planned.plan, commits_of(read_journal(prepared.run.journal())),
                                    artifact_folders(prepared.run));
  for (std::size_t i = 0; i < settled.size(); ++i) {
    const auto& work = prepared.planned.plan.jobs[i].work;
    prepared.models_to_remake += jobs::leaves_weights(work) && !settled[i] ? 1 : 0;
  }
  return prepared;
}

bool already_answered(const PreparedAttribution& prepared) {
  const jobs::Plan& plan = prepared.planned.plan;
  if (jobs::awaits_next_stage(plan)) return false;
  const auto commits = commits_of(read_journal(prepared.run.journal()));
  const std::vector<bool> settled = settled_jobs(plan, commits, artifact_folders(prepared.run));
  if (std::find(settled.begin(), settled.end(), false) != settled.end()) return false;
  // The view may lack what was committed last before a kill.
  return rebuild_results(prepared.run, plan, commits).empty();
}

std::vector<ImageAttribution> read_attribution(const PreparedAttribution& prepared, const AttributionRequest& request) {
  const jobs::Plan& plan = prepared.planned.plan;
  const ResultsTable table = read_results(prepared.run.results());
  const GroupScores scores = group_scores(table, plan, prepared.method, {"elbo", "elbo"}, jobs::kMethodDraws);
  const auto races = race_outcomes(table, plan);
  const auto race = std::find_if(races.begin(), races.end(), [](auto& r) { return r.draw_set == jobs::kMethodDraws; });
  std::vector<ImageAttribution> result;
  for (std::size_t q = 0; q < plan.queries.size(); ++q) {
    if (!scores.evaluated(q))
      throw Error(request.images[q].string() + " was not scored (see the log in " + prepared.run.logs().string() + ")");
    std::vector<std::size_t> order(plan.groups.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return scores.row(q)[a] > scores.row(q)[b]; });
    const bool undecided = race != races.end()
                               ? race->decided[q] == 0
                               : order.size() > 1 && is_undecided(table, plan, prepared.method, q, order[0], order[1]);
    ImageAttribution image{request.images[q], {}, undecided, double(jobs::slots_of_set(plan.experiment.scoring))};
    if (race != races.end()) {
      const auto begin = race->slots.begin() + static_cast<std::ptrdiff_t>(q * plan.groups.size());
      image.slots = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(plan.groups.size()), 0.0) /
                    double(plan.groups.size());
    }
    for (const std::size_t g : order)
      image.groups.push_back({plan.groups[g], scores.row(q)[g], scores.error[q * plan.groups.size() + g]});
    result.push_back(std::move(image));
  }
  return result;
}

}  // namespace guda::orchestrator
