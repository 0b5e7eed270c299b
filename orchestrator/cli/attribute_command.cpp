#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "common/files.hpp"
#include "orchestrator/attribution.hpp"
#include "orchestrator/attribution_picture.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/run_options.hpp"
#include "orchestrator/stages.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

void print(const std::vector<ImageAttribution>& images, const std::string& method, std::uint32_t top, bool raced) {
  for (const ImageAttribution& image : images) {
    std::cout << fmt::format("{}  by {} (nats; larger = contributed more)\n", image.image.string(), method);
    const double largest = std::max(1e-12, image.groups.front().score);
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(top, static_cast<std::uint32_t>(image.groups.size())); ++i) {
      const GroupContribution& g = image.groups[i];
      std::cout << fmt::format(
          "  {:>2}. {:<16} {:>9.4f} +- {:<8.4f} {}{}\n", i + 1, g.group, g.score, g.standard_error,
          bar(g.score / largest, 20, false),
          i == 0 && image.undecided ? (raced ? "  undecided: more --slots" : "  undecided: more --draws") : "");
    }
    if (raced) std::cout << fmt::format("      {:.3g} slots a group\n", image.slots);
  }
}

}  // namespace

int attribute_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("method", po::value<std::string>()->default_value(""),
                        "whose counterfactual models answer [the first guda method]")(
      "draws", po::value<std::uint32_t>()->default_value(4),
      "noise draws per timestep, 2 to 64; more draws, smaller errors")(
      "until", po::value<std::string>()->default_value("all"),
      "top1, top3 or ranking: a race instead of the grid, for large models and many groups; a round costs a start")(
      "slots", po::value<std::uint32_t>()->default_value(200), "with --until: slots that a group gets at most")(
      "prompt", po::value<std::vector<std::string>>(),
      "what the images show, for a text-to-image run: once for all, or once for each image")(
      "top", po::value<std::uint32_t>()->default_value(3), "groups to print")(
      "png", po::value<std::string>(), "also draw the answer into this file")("json", "print every group as JSON");
  add_supervision_options(options);
  const auto values =
      parse({"guda attribute RUN IMAGE... [options]",
             "Who contributed to these pictures? Scores them with the stored counterfactual models of a run.\n"
             "An image is a PNG or .npy of the data set's own size. The work lives in RUN/attributions and resumes.",
             "  guda attribute runs/digits mydigit.png\n  guda attribute runs/digits a.png b.png --method logo --png "
             "answer.png\n"},
            options, {"run", "images+"}, arguments);
  if (!values) return kDone;
  exit_on_stop_signals();
  AttributionRequest request;
  for (const auto& image : (*values)["images"].as<std::vector<std::string>>()) request.images.emplace_back(image);
  request.method = (*values)["method"].as<std::string>();
  request.draws = (*values)["draws"].as<std::uint32_t>();
  if (values->contains("prompt")) request.prompts = (*values)["prompt"].as<std::vector<std::string>>();
  request.until = (*values)["until"].as<std::string>();
  request.slots = (*values)["slots"].as<std::uint32_t>();
  if (request.until != "all" && request.until != "top1" && request.until != "top3" && request.until != "ranking")
    throw UsageError("--until must be all, top1, top3 or ranking");
  if (request.draws < 2 || request.draws > 64) throw UsageError("--draws must be 2 to 64");
  const RunLayout parent{std::filesystem::absolute((*values)["run"].as<std::string>()).lexically_normal()};
  PreparedAttribution prepared = prepare_attribution(parent, request);
  RunLock lock(prepared.run.lock());
  install_plan(prepared.run, prepared.planned, true);
  Progress progress(stderr);
  if (!already_answered(prepared)) {
    if (prepared.models_to_remake > 0) {
      progress.note(fmt::format("{} counterfactual models are not on disk any more (retention.keep) and are made again",
                                prepared.models_to_remake));
    }
    const SupervisorConfig config = supervision_from(*values, prepared.planned.plan);
    const auto note = [&](const std::string& text) { progress.note(text); };
    int code = kDone;
    do {
      code = supervise(prepared.run, lock, config, progress);
    } while (code == kDone && enter_next_stages(prepared.run, prepared.planned, config.life.visible_within, note));
    if (code != kDone || jobs::awaits_next_stage(prepared.planned.plan)) {
      progress.note("not finished; the reasons: guda status " + prepared.run.folder.string());
      return code == kDone ? kStoppedEarly : code;
    }
  }
  const auto images = read_attribution(prepared, request);
  if (values->contains("json")) {
    Json out{{"schema", 1}, {"method", prepared.method}, {"unit", "nats"}, {"images", Json::array()}};
    for (const ImageAttribution& image : images) {
      Json groups = Json::array();
      for (const auto& g : image.groups)
        groups.push_back({{"group", g.group}, {"score", g.score}, {"stderr", g.standard_error}});
      out["images"].push_back({{"image", image.image.string()}, {"undecided", image.undecided}, {"groups", groups}});
      if (request.until != "all") out["images"].back()["slots"] = image.slots;
    }
    std::cout << out.dump(2) << "\n";
  } else {
    print(images, prepared.method, (*values)["top"].as<std::uint32_t>(), request.until != "all");
  }
  if (values->contains("png")) {
    const std::filesystem::path file = (*values)["png"].as<std::string>();
    const std::vector<std::uint8_t> png = draw_attribution(prepared, images);
    replace_file(file, std::string_view(reinterpret_cast<const char*>(png.data()), png.size()), false);
    progress.note("drawn into " + file.string());
  }
  return kDone;
}

}  // namespace guda::cli
