#include "jobs/experiment_checks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/dataset.hpp"
#include "jobs/experiment_rules.hpp"
#include "jobs/plan.hpp"
#include "jobs/race.hpp"
#include "jobs/slot_lists.hpp"
#include "jobs/styled_digits.hpp"
#include "jobs/unet_config.hpp"

namespace guda::jobs {
namespace {

constexpr std::uint32_t kDigits = 1797;          // items of the data set that guda ships
constexpr std::uint64_t kMostSlots = 1'000'000;  // (timestep, draw) pairs of one draw set

class Checks : Rules {
 public:
  Checks(const Experiment& experiment, const config::Node& root, config::Issues& issues, bool data_may_be_missing)
      : Rules(experiment, root, issues), data_may_be_missing_(data_may_be_missing) {}

  void all() {
    seeds();
    data();
    model();
    diffusion();
    training();
    guide();
    queries();
    scoring();
    methods();
    check_comparison(*this);
    check_pipeline(*this, data_may_be_missing_);
    precision();
    gang();
    node_cache();
  }

 private:
  void seeds() {
    rule(e_.seeds.empty(), {"seeds"}, [] { return "wants at least one run seed, for example [0]"; });
    auto sorted = e_.seeds;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    rule(twice != sorted.end(), {"seeds"}, [&] { return fmt::format("{} is given twice", *twice); });
  }

  void data() {
    const auto& path = e_.dataset.path;
    const bool excused = data_may_be_missing_ && has_published_counts(e_.dataset.kind),
               pictures = e_.dataset.of_pictures();
    rule(!path.empty() && !excused && !exists(path), {"dataset", "path"}, [&] {
      return fmt::format("there is no {}{}", path.string(),
                         e_.dataset.kind == "cifar10"
                             ? ": unpack the binary version of CIFAR-10 there, or --set dataset.path=FOLDER"
                         : pictures ? "; --set dataset.path=FOLDER names the folder of the pictures"
                                    : "");
    });
    if (pictures) picture_files(excused);
    const bool styled = e_.dataset.kind == "styled_digits", digits = styled || e_.dataset.kind == "digits";
    const auto copies = static_cast<std::uint32_t>(styled ? kDigitStyles.size() : 1);
    rule(digits && e_.dataset.train >= copies * kDigits && path.empty(), {"dataset", "train"}, [&] {
      return fmt::format("{} of the {} digits leave none to hold out; use {}", e_.dataset.train, copies * kDigits,
                         copies * 1500);
    });
    rule(e_.dataset.train % copies != 0, {"dataset", "train"}, [&] {
      return fmt::format(
          "{} is no multiple of {}: an image is in the training set in all of its styles or in none; use "
          "{}",
          e_.dataset.train, copies, copies * 1500);
    });
    rule(!digits && path.empty(), {"dataset", "path"},
         [&] {
           return pictures ? "wants the folder of the pictures"
                           : "wants the folder of data_batch_*.bin, test_batch.bin and batches.meta.txt";
         },
         {{"dataset", "kind"}});
    rule(e_.dataset.train < 2 && !(pictures && e_.dataset.train == 0), {"dataset", "train"}, [&] {
      return fmt::format("{} is out of range: it must be at least 2{}", e_.dataset.train,
                         pictures ? ", or 0 for all" : "");
    });
    const std::uint32_t side = e_.dataset.side;
    rule(!pictures && side != 0 && side != 4 && side != 8 && side != 16 && side != 32, {"dataset", "side"},
         [&] { return fmt::format("{} does not divide the 32 pixels of a side; choose 32, 16, 8 or 4", side); });
    rule(e_.groups.by == "key" && e_.groups.key.empty(), {"groups", "key"},
         [] { return "wants a key of the prompts' lines, because groups.by is key"; }, {{"groups", "by"}});
    rule(e_.groups.by == "key" && !pictures, {"groups", "by"},
         [&] { return fmt::format("{} have no keys; pictures with prompts have", e_.dataset.kind); },
         {{"dataset", "kind"}});
    const bool by_manifest = e_.groups.by == "manifest";
    const auto& manifest = e_.groups.manifest;
    rule(by_manifest && manifest.empty(), {"groups", "manifest"},
         [] { return "wants a CSV or JSON file, because groups.by is manifest"; }, {{"groups", "by"}});
    rule(by_manifest && !manifest.empty() && !is_file(manifest), {"groups", "manifest"},
         [&] { return fmt::format("there is no file {}", manifest.string()); });
  }

  void picture_files(bool excused) {
    const DatasetConfig& d = e_.dataset;
    rule(d.side == 0, {"dataset", "side"},
         [] { return "wants the pixels of a side that pictures are brought to, e.g. 512"; });
    const bool folder = d.kind == "image_folder";
    rule(d.prompts.empty() && (folder || d.descriptors.empty()), {"dataset", "prompts"}, [&] {
      return folder ? "wants a file of JSON lines {\"file\": .., \"prompt\": ..}"
                    : "wants the captions as JSON lines, or dataset.descriptors the words to make them of";
    });
    for (const auto& [key, file] : {std::pair{"prompts", d.prompts}, {"descriptors", d.descriptors}}) {
      rule(!file.empty() && !excused && !is_file(file), {"dataset", key},
           [&, file = file] { return fmt::format("there is no file {}", file.string()); });
    }
  }

  void model() {
    rule(e_.model.empty() && e_.pipeline.folder.empty(), {"model"}, [] {
      return "wants the model: a mapping with the keys of a UNet2DModel's config.json, as in jobs/recipes/digits.yaml";
    });
    const bool styled = e_.dataset.kind == "styled_digits", digits = styled || e_.dataset.kind == "digits";
    if (e_.model.empty() || (digits && !e_.dataset.path.empty())) return;
    const AutoencoderConfig& latents = e_.pipeline.autoencoder;
    const std::uint32_t pixels_side = styled                 ? kStyledDigitSide
                                      : digits               ? 8
                                      : e_.dataset.side == 0 ? 32
                                                             : e_.dataset.side;
    const bool pictures = e_.dataset.of_pictures();
    const char* const what = !latents.empty() ? "latents"
                             : digits         ? "digits"
                             : pictures       ? "pictures"
                                              : "CIFAR-10 images";
    if (!e_.pipeline.folder.empty()) return;  // its autoencoder says what latents are
    const std::uint32_t side = latents.empty() ? pixels_side : pixels_side >> (latents.block_out_channels.size() - 1);
    rule(!latents.empty() && side == 0, {"pipeline", "autoencoder", "block_out_channels"}, [&] {
      return fmt::format("has {} entries: too many for {} pixels", latents.block_out_channels.size(), pixels_side);
    });
    if (side == 0) return;
    const std::int64_t wanted = !latents.empty() ? latents.latent_channels : digits ? 1 : 3;
    const auto channels = e_.model.value("in_channels", std::int64_t{is_condition_model(e_.model) ? 4 : 3});
    rule(channels != wanted, {"model", "in_channels"}, [&] {
      return fmt::format("is {}{}, but {} have {} channel{}", channels, by_default({"model", "in_channels"}), what,
                         wanted, wanted == 1 ? "" : "s");
    });
    const Json size = e_.model.value("sample_size", Json());
    const bool fits = size.is_null() || size == side || size == Json{side, side};
    rule(!fits, {"model", "sample_size"},
         [&] { return fmt::format("is {}, but {} are {} x {}", size.dump(), what, side, side); },
         {{"dataset", "side"}});
    const auto blocks = e_.model.contains("block_out_channels") ? e_.model["block_out_channels"].size() : 4;
    std::size_t most = 1;
    for (std::uint32_t pixels = side; pixels > 1; pixels /= 2) ++most;
    rule(blocks > most, {"model", "block_out_channels"}, [&] {
      return fmt::format("has {} entries, but {} x {} images can be halved {} times: at most {}", blocks, side, side,
                         most - 1, most);
    });
  }

  void diffusion() {
    const auto& d = e_.diffusion;
    const bool linear = d.schedule != "squaredcos_cap_v2";
    rule(linear && d.beta_start >= d.beta_end, {"diffusion", "beta_end"},
         [&] { return fmt::format("{} must be more than beta_start, {}", d.beta_end, d.beta_start); },
         {{"diffusion", "beta_start"}});
  }

  void training() {
    const auto& t = e_.training;
    horizon({"training"}, t.horizon, t.steps);
    rule(t.warmup_steps > std::max(t.steps, t.horizon), {"training", "warmup_steps"},
         [&] {
           return fmt::format("{}{} is more than training.steps, {}", t.warmup_steps,
                              by_default({"training", "warmup_steps"}), t.steps);
         },
         {{"training", "steps"}});
    at_most_training_items({"training", "batch"}, t.batch);
  }

  void guide() {
    const auto& g = e_.guide;
    const auto guided = std::find_if(e_.methods.begin(), e_.methods.end(), [](const MethodConfig& m) {
      return m.method == "guda" && m.unlearn.op == "esd_class";
    });
    const KeyPath channels{"guide", "block_out_channels"};
    // A text-to-image model guides itself (pipeline_checks.cpp).
    rule(e_.pipeline.empty() && g.empty() && guided != e_.methods.end(), channels, [] {
      return "is missing: esd_class guides with a class-conditional model, for example guide: {block_out_channels: "
             "[128, "
             "256, 256, 512]}";
    });
    if (g.empty()) return;
    rule(guided == e_.methods.end(), {"guide"}, [] { return "has no effect: no method has unlearn.op esd_class"; },
         {{"methods"}});
    const std::size_t blocks = e_.model.contains("block_out_channels") ? e_.model["block_out_channels"].size() : 4;
    rule(
        g.block_out_channels.size() != blocks, channels,
        [&] { return fmt::format("has {} entries, but the model has {} blocks", g.block_out_channels.size(), blocks); },
        {{"model", "block_out_channels"}});
    const auto groups = e_.model.value("norm_num_groups", std::uint32_t{32});
    for (const std::uint32_t width : g.block_out_channels) {
      rule(width % groups != 0, channels,
           [&] { return fmt::format("{} is not a multiple of model.norm_num_groups, {}", width, groups); });
    }
    for (const auto& [key, value] :
         {std::pair{"time_embedding_type", "positional"}, {"downsample_type", "conv"}, {"upsample_type", "conv"}}) {
      rule(e_.model.value(key, value) != value, {"model", key}, [&, key = key, value = value] {
        return fmt::format("a guide can only be built where {} is {}", key, value);
      });
    }
    horizon({"guide", "training"}, g.training.horizon, g.training.steps);
    at_most_training_items({"guide", "training", "batch"}, g.training.batch);
  }

  void node_cache() {
    const std::string& cache = e_.resources.node_cache;
    const KeyPath here{"resources", "node_cache"};
    rule(!cache.empty() && cache != "off" && !cache.starts_with("/"), here, [&] {
      return "'" + cache + "' is neither off nor a folder that begins with / (nodes have other current folders)";
    });
    rule(cache == "off" && e_.resources.node_cache_gb > 0, {"resources", "node_cache_gb"},
         [] { return "has no effect: the cache is off"; }, {here});
  }

  void precision() {
    const std::string& asked = e_.resources.precision;
    rule(e_.resources.device == "cpu" && !asked.empty() && asked != "float32", {"resources", "precision"},
         [&] { return asked + " is for GPUs; a CPU computes in float32"; }, {{"resources", "device"}});
  }

  void gang() {
    const std::uint32_t size = e_.resources.gang;
    if (size < 2) return;
    const KeyPath here{"resources", "gang"};
    rule(size > e_.training.batch, here,
         [&] { return fmt::format("{} workers can't share training.batch, {}", size, e_.training.batch); },
         {{"training", "batch"}});
    rule(!e_.guide.empty() && size > e_.guide.training.batch, here,
         [&] { return fmt::format("{} workers can't share guide.training.batch, {}", size, e_.guide.training.batch); },
         {{"guide", "training", "batch"}});
  }

  void queries() {
    rule(e_.queries.empty(), {"queries"},
         [] { return "wants at least one query set, for example [{kind: generated}]"; });
    unique_names("queries", e_.queries);
    const auto tuning = [](const QuerySetConfig& q) { return q.role == "tuning"; };
    rule(!e_.queries.empty() && std::all_of(e_.queries.begin(), e_.queries.end(), tuning), {"queries"},
         [] { return "has tuning sets only: results need a set with role: reported"; });
    for (std::size_t i = 0; i < e_.queries.size(); ++i) {
      const auto& q = e_.queries[i];
      const KeyPath here{"queries", std::to_string(i)};
      const auto at = [&](KeyPath below) { return below.insert(below.begin(), here.begin(), here.end()), below; };
      rule(q.name == kPreviewSet || q.name == kRegeneratedSet, at({"name"}),
           [&] { return fmt::format("'{}' is the name of pictures that guda draws itself; choose another", q.name); });
      rule(q.kind == "generated" && q.sampler.steps > e_.diffusion.timesteps, at({"sampler", "steps"}),
           [&] {
             return fmt::format("{}{} is more than diffusion.timesteps, {}", q.sampler.steps,
                                by_default(at({"sampler", "steps"})), e_.diffusion.timesteps);
           },
           {{"diffusion", "timesteps"}});
      rule(q.kind == "generated" && q.sampler.kind == "dpmsolver++" && q.sampler.steps == e_.diffusion.timesteps,
           at({"sampler", "steps"}),
           [&] {
             return fmt::format("DPM-Solver++ takes fewer steps than diffusion.timesteps, {}", e_.diffusion.timesteps);
           },
           {{"diffusion", "timesteps"}});
      for (std::size_t k = 0; q.kind == "held_out" && k < i; ++k) {
        const auto& other = e_.queries[k];
        const bool apart =
            std::uint64_t{q.first} + q.count <= other.first || std::uint64_t{other.first} + other.count <= q.first;
        rule(other.kind == "held_out" && other.role != q.role && !apart, at({"first"}), [&] {
          return fmt::format(
              "held-out items {}..{} overlap those of '{}', {}..{}, but one set is for tuning: choose disjoint ranges",
              q.first, std::uint64_t{q.first} + q.count - 1, other.name, other.first,
              std::uint64_t{other.first} + other.count - 1);
        });
      }
      rule(q.kind == "images" && q.images.empty(), at({"images"}),
           [] { return "wants a list of PNG files, because the kind is images"; }, {at({"kind"})});
      for (std::size_t k = 0; q.kind == "images" && k < q.images.size(); ++k) {
        rule(!is_file(q.images[k]), at({"images", std::to_string(k)}),
             [&] { return fmt::format("there is no file {}", q.images[k].string()); });
        for (std::size_t other = 0; other < i; ++other) {
          const auto& before = e_.queries[other];
          rule(before.role != q.role && before.kind == "images" &&
                   std::count(before.images.begin(), before.images.end(), q.images[k]) > 0,
               at({"images", std::to_string(k)}), [&] {
                 return fmt::format("is also an image of '{}', but one of the two sets is for tuning", before.name);
               });
        }
      }
    }
  }

  void scoring() {
    const auto& s = e_.scoring;
    const KeyPath first{"scoring", "first_timestep"}, last{"scoring", "last_timestep"},
        length{"diffusion", "timesteps"};
    rule(s.last_timestep >= e_.diffusion.timesteps, last,
         [&] {
           return fmt::format("{}{} must be less than diffusion.timesteps, {}", s.last_timestep, by_default(last),
                              e_.diffusion.timesteps);
         },
         {length});
    rule(s.first_timestep > s.last_timestep, first,
         [&] {
           return fmt::format("{}{} is more than last_timestep, {}", s.first_timestep, by_default(first),
                              s.last_timestep);
         },
         {last});
    if (s.first_timestep > s.last_timestep || s.stride == 0) return;
    const bool drawn = s.allocation != "grid";
    const std::uint64_t slots = slots_of_set(s);
    rule(slots > kMostSlots && !drawn, {"scoring", "draws"},
         [&] { return fmt::format("gives {} slots, more than {}: fewer draws or a larger stride", slots, kMostSlots); },
         {first, last, {"scoring", "stride"}});
    const KeyPath many{"scoring", "slots"}, allocation{"scoring", "allocation"};
    rule(drawn && s.slots == 0, many,
         [&] { return fmt::format("is missing: allocation: {} wants to know how many, for example 50", s.allocation); },
         {allocation});
    rule(s.slots % 2 != 0, many,
         [&] { return fmt::format("{} is odd; two are drawn from every stratum: choose {}", s.slots, s.slots + 1); });
    race(s, drawn);
    rule(
        drawn && s.draws != 1, {"scoring", "draws"},
        [&] { return fmt::format("has no effect with allocation: {}; `slots` says how many are drawn", s.allocation); },
        {allocation});
  }

  void race(const ScoringConfig& s, bool drawn) {
    if (!races(s)) return;
    const KeyPath until{"scoring", "until"}, many{"scoring", "slots"}, unit{"scoring", "unit"},
        allocation{"scoring", "allocation"};
    rule(!drawn, until,
         [&] {
           return fmt::format("{} wants slots that are drawn: allocation: adaptive (or weight), and `slots`", s.until);
         },
         {allocation});
    if (!drawn || s.slots == 0 || s.unit == 0) return;
    const std::uint32_t least = kFirstDecision * s.unit;
    rule(s.slots < least || s.slots % s.unit != 0, many,
         [&] {
           return fmt::format("{} is no multiple of `unit`, {}, or less than {} units: choose {}", s.slots, s.unit,
                              kFirstDecision, std::max(least, (s.slots + s.unit - 1) / s.unit * s.unit));
         },
         {unit});
    rule(e_.evaluation.subsets.count > 0, until,
         [&] { return fmt::format("{} leaves losses out that evaluation.subsets adds up; choose all", s.until); },
         {{"evaluation", "subsets"}});
  }

  void methods() {
    rule(e_.methods.size() < 2, {"methods"},
         [] { return "wants at least two methods: the oracle (method: logo) and one to compare with it"; });
    unique_names("methods", e_.methods);
    for (std::size_t i = 0; i < e_.methods.size(); ++i) {
      const auto& m = e_.methods[i];
      const KeyPath here{"methods", std::to_string(i)};
      const auto at = [&](KeyPath below) { return below.insert(below.begin(), here.begin(), here.end()), below; };
      rule(!written(at({"method"})), at({"method"}),
           [] { return "wants the method (guda methods lists them), for example logo"; });
      rule(m.name == "full", at({"name"}), [] { return "'full' is the name of the full model; choose another"; });
      const bool all_pixels = m.method == "kde_elbo" || (m.method == "similarity" && m.similarity.features == "pixels");
      rule(all_pixels && e_.dataset.of_pictures() && e_.dataset.side > 128, at({"method"}), [&] {
        return fmt::format(
            "{} compares the pixels of all pictures at once: {} a side are too many; similarity has "
            "features: latents, captions or clip",
            m.method, e_.dataset.side);
      });
      if (m.method == "knn") at_most_training_items(at({"k"}), m.k);
      if (m.method != "guda") continue;
      horizon(at({"unlearn"}), m.unlearn.horizon, m.unlearn.steps);
      rule(m.unlearn.op != "fisher" && m.unlearn.warmup_steps > std::max(m.unlearn.steps, m.unlearn.horizon),
           at({"unlearn", "warmup_steps"}),
           [&] {
             return fmt::format("{}{} is more than unlearn.steps, {}", m.unlearn.warmup_steps,
                                by_default(at({"unlearn", "warmup_steps"})), m.unlearn.steps);
           },
           {at({"unlearn", "steps"})});
      for (const auto& [key, value] : {std::pair{"retain_batch", m.unlearn.retain_batch},
                                       {"forget_batch", m.unlearn.forget_batch},
                                       {"neighbours", m.unlearn.neighbours}}) {
        at_most_training_items(at({"unlearn", key}), value);
      }
    }
  }

  const bool data_may_be_missing_;
};

}  // namespace

void check_experiment(const Experiment& experiment, const config::Node& root, config::Issues& issues,
                      bool data_may_be_missing) {
  Checks(experiment, root, issues, data_may_be_missing).all();
}

}  // namespace guda::jobs
