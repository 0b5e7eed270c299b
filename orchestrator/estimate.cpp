#include "orchestrator/estimate.hpp"

#include <algorithm>
#include <cmath>

#include "jobs/cost.hpp"
#include "jobs/memory.hpp"
#include "jobs/methods/methods.hpp"
#include "orchestrator/retention.hpp"
#include "orchestrator/run_results.hpp"
#include "orchestrator/serve.hpp"
#include "orchestrator/virtual_run.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kFloat = 4, kDouble = 8;

/// Sums of many jobs: the error they share (a rate that is off) stays, what they do not share averages out.
void add(jobs::Cost& sum, const jobs::Cost& c) {
  sum.p10 += c.p10;
  sum.p50 += c.p50;
  sum.p90 += c.p90;
}

/// Numbers in what jobs leave.
struct Sizes {
  double parameters = 0;      ///< of the model
  double latents = 0;         ///< of what the model sees of one image: latents or pixels
  double pixels = 0;          ///< of an image
  double embedding_rows = 0;  ///< of a text: tokens x width
};

double artifact_bytes(const jobs::JobSpec& job, const Sizes& sizes) {
  if (std::holds_alternative<jobs::TrainSpec>(job.work) || std::holds_alternative<jobs::UnlearnSpec>(job.work))
    return kFloat * sizes.parameters + 16'384;
  if (const auto* sample = std::get_if<jobs::SampleSpec>(&job.work))
    return double(sample->names.size()) * (kFloat * sizes.pixels + 1'024);
  if (const auto* features = std::get_if<jobs::FeaturesSpec>(&job.work)) {
    constexpr double kEmbedding = 768;  // of a CLIP tower
    if (features->kind == "fisher") return kFloat * sizes.parameters;
    if (features->kind == "texts") return kFloat * features->count * sizes.embedding_rows;
    if (features->kind == "latents") return kFloat * features->count * 2 * sizes.latents * (features->flip ? 2 : 1);
    return kFloat * features->count * (features->kind == "clip" ? kEmbedding : double(features->dimension) + 1);
  }
  return 0;
}

double row_bytes(const jobs::JobSpec& job, const jobs::Plan& plan) {
  if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work))
    return kFloat * double(score->count) * double(score->slots.size()) + 56;
  if (jobs::leaves_scores(job.work)) return kDouble * double(plan.queries.size()) * double(plan.groups.size()) + 56;
  return 0;
}

double results_bytes(const jobs::Plan& plan) {
  const double queries = double(plan.queries.size()), groups = double(plan.groups.size()),
               slots = double(plan.slots.size());
  double bytes = kFloat * queries * slots + 1e5;
  for (const jobs::MethodConfig& method : plan.experiment.methods) {
    bytes += 2 * kDouble * queries * groups;
    if (jobs::method_named(method.method).leaves == jobs::Leaves::losses) bytes += kFloat * queries * slots * groups;
  }
  return bytes + kFloat * queries * slots * plan.experiment.evaluation.subsets.count;
}

double pixels_of(const Json& model) {
  const Json size = model.value("sample_size", Json(32));
  const double side = size.is_array()    ? std::sqrt(size.at(0).get<double>() * size.at(1).get<double>())
                      : size.is_number() ? size.get<double>()
                                         : 32;
  return side * side * model.value("in_channels", 3.0);
}

Json to_json(const jobs::Cost& c) { return {{"p10", c.p10}, {"p50", c.p50}, {"p90", c.p90}}; }

}  // namespace

Estimate estimate(const jobs::Plan& plan, const std::vector<bool>& settled, const jobs::CostPredictor& costs,
                  const EstimateOptions& options) {
  Estimate e;
  e.basis = costs.basis();
  e.gang = plan.experiment.resources.gang;
  const Json& model = plan.experiment.model;
  e.parameters = jobs::unet2d_parameters(model);
  const double tokens = options.parts.tokens;
  Sizes sizes{e.parameters, pixels_of(model), pixels_of(model), tokens * model.value("cross_attention_dim", 1280.0)};
  if (!options.parts.autoencoder.is_null()) sizes.pixels = pixels_of(options.parts.autoencoder);
  const auto charged = charged_methods(plan);
  HugeVector<JobNode> nodes = nodes_of(plan);
  std::vector<bool> checkpoints(plan.jobs.size(), false);
  std::vector<jobs::Cost> predicted(plan.jobs.size());
  double rows = 0, checkpoint_bytes = 0, saves_longest = 0;
  for (const jobs::MethodConfig& method : plan.experiment.methods) e.methods[method.name];
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    const jobs::JobSpec& job = plan.jobs[i];
    const jobs::Cost each = costs.of(job);
    const double members = nodes[i].gang;
    const jobs::Cost cost{each.p10 * members, each.p50 * members, each.p90 * members};  // device-seconds
    predicted[i] = each;
    nodes[i].cost = each.p50;
    checkpoints[i] = jobs::keeps_checkpoints(job.work);
    KindEstimate& kind = e.kinds[jobs::kind_of(job.work)];
    ++kind.jobs;
    kind.memory = std::max(kind.memory, jobs::job_memory(job, plan.experiment, options.parts));
    e.memory = std::max(e.memory, kind.memory);
    if (const auto methods = charged.find(job.digest); methods != charged.end()) {
      for (const std::string& method : methods->second) {
        if (e.methods.contains(method)) add(e.methods[method], cost);
      }
    }
    const double bytes = artifact_bytes(job, sizes);
    e.disk_peak += bytes;
    if (artifact_kept(job, plan.experiment.retention.keep)) e.disk_kept += bytes;
    rows += row_bytes(job, plan);
    if (checkpoints[i]) checkpoint_bytes = 2 * 4 * kFloat * e.parameters * options.workers;
    if (settled[i]) {
      ++kind.done;
      continue;
    }
    add(kind.seconds, cost);
    add(e.device_seconds, cost);
    kind.longest = std::max(kind.longest, each.p90);
    if (checkpoints[i]) saves_longest = std::max(saves_longest, each.p50);
    if (!checkpoints[i] && each.p90 > e.longest_uncut) {
      e.longest_uncut = each.p90;
      e.longest_uncut_label = job.label;
    }
  }
  const double always = rows + results_bytes(plan);
  e.disk_peak += always + checkpoint_bytes;
  e.disk_kept += always;

  VirtualOptions v;
  v.workers = std::max(1U, options.workers);
  v.workers_per_node = std::max(1U, options.workers_per_node);
  v.startup = options.startup;
  v.requeue = options.requeue;
  v.life = options.walltime > 0 ? options.walltime - options.reserve : 0;
  // Checkpoints: at most every 5 minutes or 10 % of the job; on request before the end of a life.
  v.checkpoint = std::max(1.0, std::min(300.0, 0.1 * saves_longest));
  if (options.walltime > 0 && v.life <= 0) {
    e.fits = false;
    return e;
  }
  const auto wall = [&](double jobs::Cost::* quantile) {
    for (std::size_t i = 0; i < nodes.size(); ++i) nodes[i].cost = predicted[i].*quantile;
    return run_virtually(nodes, settled, v, checkpoints);
  };
  const VirtualRun middle = wall(&jobs::Cost::p50), fast = wall(&jobs::Cost::p10), slow = wall(&jobs::Cost::p90);
  e.wall_seconds = {fast.makespan, middle.makespan, slow.makespan};
  e.utilisation = middle.utilisation;
  e.lives = middle.lives;
  e.fits = middle.finished && slow.finished && (v.life == 0 || e.longest_uncut <= v.life);
  return e;
}

Json to_json(const Estimate& e) {
  Json kinds = Json::object(), methods = Json::object();
  for (const auto& [name, kind] : e.kinds) {
    kinds[name] = {{"jobs", kind.jobs},
                   {"done", kind.done},
                   {"device_seconds", kind.seconds.p50},
                   {"device_seconds_p10", kind.seconds.p10},
                   {"device_seconds_p90", kind.seconds.p90},
                   {"longest_job_seconds", kind.longest},
                   {"memory_bytes", kind.memory}};
  }
  for (const auto& [name, cost] : e.methods) methods[name] = to_json(cost);
  return {{"kinds", kinds},
          {"methods", methods},
          {"device_seconds", e.device_seconds.p50},
          {"device_seconds_range", to_json(e.device_seconds)},
          {"wall_seconds", e.wall_seconds.p50},
          {"wall_seconds_range", to_json(e.wall_seconds)},
          {"utilisation", e.utilisation},
          {"lives", e.lives},
          {"fits", e.fits},
          {"longest_job_without_checkpoints", {{"seconds_p90", e.longest_uncut}, {"label", e.longest_uncut_label}}},
          {"disk_bytes", {{"peak", e.disk_peak}, {"kept", e.disk_kept}}},
          {"memory_bytes", e.memory},
          {"parameters", e.parameters},
          {"gang", e.gang},
          {"basis", e.basis}};
}

}  // namespace guda::orchestrator
