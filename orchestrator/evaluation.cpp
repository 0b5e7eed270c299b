// Removal and self-influence, which are read from artifacts.
#include "orchestrator/evaluation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <span>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/image_similarity.hpp"
#include "common/npy.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/kept_instances.hpp"

namespace guda::orchestrator {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> artifact_in(const std::vector<fs::path>& folders, const Digest& digest, const char* file) {
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / digest.hex / file)) return folder / digest.hex;
  }
  return std::nullopt;
}

/// The job of a digest; Bug where the plan has none.
const jobs::JobSpec& planned_job(const jobs::Plan& plan, const Digest& digest) {
  const auto found =
      std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const auto& job) { return job.digest == digest; });
  if (found == plan.jobs.end()) throw Bug("the plan has no job " + digest.hex);
  return *found;
}

struct QueryPictures {
  PictureShape shape;
  std::vector<float> values;
  [[nodiscard]] std::size_t count() const { return values.size() / shape.size(); }
  [[nodiscard]] std::span<const float> picture(std::size_t i) const {
    return std::span(values).subspan(i * shape.size(), shape.size());
  }
};

QueryPictures pictures_below(const fs::path& folder) {
  const NpyArray array = read_npy(folder / "queries.npy");
  const auto* const values = std::get_if<std::vector<float>>(&array.values);
  if (values == nullptr || array.shape.size() != 4 || values->empty())
    throw Error((folder / "queries.npy").string() + ": is no float32 array [N, C, H, W]");
  return {{static_cast<std::uint32_t>(array.shape[1]), static_cast<std::uint32_t>(array.shape[2]),
           static_cast<std::uint32_t>(array.shape[3])},
          *values};
}

/// Rows of a table of features, one per image of a Sample job.
using ImageFeatures = std::vector<std::vector<float>>;

/// What the Features jobs of `encoder` found, by the Sample job whose images they read.
std::map<Digest, ImageFeatures> features_of_images(const std::vector<fs::path>& folders, const jobs::Plan& plan,
                                                   const fs::path& encoder, std::vector<std::string>& missing) {
  std::map<Digest, ImageFeatures> found;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto* spec = std::get_if<jobs::FeaturesSpec>(&job.work);
    if (spec == nullptr || spec->kind != "clip" || spec->encoder != encoder || spec->projected || spec->queries.empty())
      continue;
    const auto folder = artifact_in(folders, job.digest, "features.npy");
    if (!folder) {
      missing.push_back(job.label);
      continue;
    }
    const NpyArray array = read_npy(*folder / "features.npy");
    const auto* const values = std::get_if<std::vector<float>>(&array.values);
    if (values == nullptr || array.shape.size() != 2 || array.shape[0] != spec->count)
      throw Error((*folder / "features.npy").string() + ": is no float32 array of " + std::to_string(spec->count) +
                  " rows");
    ImageFeatures& rows = found[spec->queries];
    if (rows.size() < spec->first + spec->count) rows.resize(spec->first + spec->count);
    for (std::size_t i = 0; i < spec->count; ++i) {
      const auto row = values->begin() + static_cast<std::ptrdiff_t>(i * array.shape[1]);
      rows[spec->first + i].assign(row, row + static_cast<std::ptrdiff_t>(array.shape[1]));
    }
  }
  return found;
}

/// 1 - cosine.
double cosine_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return aa > 0 && bb > 0 ? 1 - ab / std::sqrt(aa * bb) : 1;
}

/// Similarities of some queries to themselves drawn again, gathered over run seeds.
struct Changes {
  std::vector<double> ssim, distance, embedding;
  std::vector<std::uint64_t> seeds, embedding_seeds;  ///< of every query
};
struct Effects {
  double removed = 0;
  Changes attributed, controls;
  std::size_t runs = 0;
};

RemovalChange mean_change(const Changes& changes, const jobs::ComparisonConfig& config) {
  RemovalChange mean{
      mean_interval(changes.ssim, changes.seeds, config), mean_interval(changes.distance, changes.seeds, config), {}};
  if (!changes.embedding.empty()) mean.embedding = mean_interval(changes.embedding, changes.embedding_seeds, config);
  return mean;
}

/// The queries of a job that keeps instances.
struct AttributedQueries {
  Digest queries;
  std::size_t first = 0, count = 0;  ///< count 0: all of them
};
std::optional<AttributedQueries> keeps_instances(const jobs::JobSpec& job) {
  if (const auto* attribute = std::get_if<jobs::AttributeSpec>(&job.work)) {
    if (attribute->gradients.keep_instances + attribute->similarity.keep_instances > 0)
      return AttributedQueries{attribute->queries, 0, 0};
  } else if (const auto* mirror = std::get_if<jobs::MirrorSpec>(&job.work)) {
    if (mirror->ascent.keep_instances + mirror->mucs.keep_instances > 0)
      return AttributedQueries{mirror->queries, mirror->first, mirror->count};
  }
  return std::nullopt;
}

/// Who said what to remove, and how much that was.
std::pair<std::string, std::size_t> removal_of(const std::vector<fs::path>& folders, const jobs::Plan& plan,
                                               const jobs::TrainSpec& train) {
  if (train.top.empty()) return {"random items", plan.removal_sets.at(train.removal).items.size()};
  std::set<std::string> names;  // of all methods that share the attribution
  for (const jobs::Placement& placement : planned_job(plan, train.top.from).placements) names.insert(placement.method);
  const auto folder = artifact_in(folders, train.top.from, "instances.json");
  return {
      fmt::format("{}", fmt::join(names, ", ")),
      folder ? jobs::union_of_first(jobs::read_kept_instances(*folder), train.top.queries, train.top.items).size() : 0};
}

}  // namespace

Interval mean_interval(const std::vector<double>& values, const std::vector<std::uint64_t>& seeds,
                       const jobs::ComparisonConfig& config) {
  double sum = 0;
  for (const double v : values) sum += v;
  std::vector<double> resampled = resampled_means(Resampler(seeds, config.seed), config.bootstrap, values, 1);
  return percentile_interval(sum / static_cast<double>(values.size()), std::move(resampled), config.confidence);
}

std::optional<RemovalView> removal_effects(const std::vector<fs::path>& folders, const jobs::Plan& plan,
                                           std::vector<std::string>& missing) {
  const jobs::Experiment& e = plan.experiment;
  const jobs::RemovalConfig& config = e.evaluation.removal;
  if (config.items == 0) return std::nullopt;
  const std::string& set = e.queries.at(jobs::removal_set_index(e)).name;
  struct Original {
    QueryPictures pictures;
    Digest job;
  };
  std::map<std::string, Original> originals;  // by the name of the first query
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
    if (sample == nullptr || sample->set.name != set) continue;
    if (const auto folder = artifact_in(folders, job.digest, "queries.npy"))
      originals.emplace(sample->names.front(), Original{pictures_below(*folder), job.digest});
    else missing.push_back(job.label);
  }
  std::map<Digest, ImageFeatures> features;
  if (!config.encoder.empty()) features = features_of_images(folders, plan, config.encoder, missing);
  std::map<std::string, Effects> effects;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
    if (sample == nullptr || sample->set.name != jobs::kRegeneratedSet) continue;
    const auto original = originals.find(sample->names.front());
    const auto folder = artifact_in(folders, job.digest, "queries.npy");
    if (!folder) missing.push_back(job.label);
    if (!folder || original == originals.end()) continue;
    const QueryPictures again = pictures_below(*folder);
    const QueryPictures& before = original->second.pictures;
    if (again.values.size() != before.values.size())
      throw Error((*folder / "queries.npy").string() + ": is not of the shape of the query set; guda verify RUN");
    const auto [method, removed] =
        removal_of(folders, plan, std::get<jobs::TrainSpec>(planned_job(plan, sample->from).work));
    Effects& effect = effects[method];
    effect.removed += static_cast<double>(removed);
    ++effect.runs;
    const ImageFeatures& told = features[original->second.job];
    const ImageFeatures& tells = features[job.digest];
    for (std::size_t i = 0; i < again.count(); ++i) {
      Changes& changes = i < config.queries ? effect.attributed : effect.controls;
      const auto a = before.picture(i), b = again.picture(i);
      const auto query = std::find_if(plan.queries.begin(), plan.queries.end(),
                                      [&](const jobs::Query& q) { return q.name == sample->names[i]; });
      const std::uint64_t seed = query == plan.queries.end() ? 0 : query->seed;
      changes.ssim.push_back(ssim(a, b, again.shape));
      changes.distance.push_back(rms_difference(a, b));
      changes.seeds.push_back(seed);
      if (i >= told.size() || i >= tells.size() || told[i].empty() || told[i].size() != tells[i].size()) continue;
      changes.embedding.push_back(cosine_distance(told[i], tells[i]));
      changes.embedding_seeds.push_back(seed);
    }
  }
  RemovalView view{set, config.items, config.queries, {}};
  for (const auto& [method, effect] : effects) {
    RemovalRow row{.method = method,
                   .removed = static_cast<std::size_t>(effect.removed / static_cast<double>(effect.runs) + 0.5),
                   .attributed = mean_change(effect.attributed, e.comparison),
                   .controls = {}};
    if (!effect.controls.ssim.empty()) row.controls = mean_change(effect.controls, e.comparison);
    view.rows.push_back(std::move(row));
  }
  return view;
}

std::vector<SelfInfluence> self_influences(const std::vector<fs::path>& folders, const jobs::Plan& plan,
                                           std::vector<std::string>& missing) {
  struct Ranks {
    std::vector<double> ranks;  // beyond the kept items: infinity
    std::size_t kept = 0;
  };
  std::map<std::pair<std::string, std::string>, Ranks> found;  // by query set and method
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto block = keeps_instances(job);
    if (!block) continue;
    const jobs::JobSpec& sample = planned_job(plan, block->queries);
    const jobs::QuerySetConfig& set = std::get<jobs::SampleSpec>(sample.work).set;
    if (set.kind != "training") continue;
    const auto instances = artifact_in(folders, job.digest, "instances.json");
    const auto queries = artifact_in(folders, sample.digest, "queries.json");
    if (!instances || !queries) {
      missing.push_back(instances ? sample.label : job.label);
      continue;
    }
    const jobs::KeptInstances kept = jobs::read_kept_instances(*instances);
    const auto all = Json::parse(read_file(*queries / "queries.json")).at("items").get<std::vector<std::uint32_t>>();
    const std::size_t count = block->count == 0 ? all.size() : block->count;
    if (block->first + count > all.size() || count != kept.items.size())
      throw Error((*instances).string() + ": is of another query set");
    const auto items = std::span(all).subspan(block->first, count);
    for (const jobs::Placement& placement : job.placements) {
      if (&placement != &job.placements.front() && placement.method == job.placements.front().method) continue;
      Ranks& ranks = found[{set.name, placement.method}];
      for (std::size_t q = 0; q < items.size(); ++q) {
        const auto& line = kept.items[q];
        const auto at = std::find(line.begin(), line.end(), items[q]);
        ranks.kept = line.size();
        ranks.ranks.push_back(at == line.end() ? std::numeric_limits<double>::infinity()
                                               : 1 + static_cast<double>(at - line.begin()));
      }
    }
  }
  std::vector<SelfInfluence> rows;
  for (auto& [key, ranks] : found) {
    auto& values = ranks.ranks;
    std::sort(values.begin(), values.end());
    const auto n = static_cast<double>(values.size());
    const double median = values[(values.size() - 1) / 2];
    const auto share = [&](double most) {
      return static_cast<double>(std::upper_bound(values.begin(), values.end(), most) - values.begin()) / n;
    };
    SelfInfluence row{.method = key.second,
                      .query_set = key.first,
                      .queries = values.size(),
                      .kept = ranks.kept,
                      .first = share(1),
                      .found = share(static_cast<double>(ranks.kept)),
                      .median_rank = {}};
    if (std::isfinite(median)) row.median_rank = median;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace guda::orchestrator
