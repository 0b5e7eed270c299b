#include "orchestrator/attribution_picture.hpp"

#include "orchestrator/artifact_pictures.hpp"
#include "orchestrator/report/attribution_png.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {

std::vector<std::uint8_t> draw_attribution(const PreparedAttribution& prepared,
                                           const std::vector<ImageAttribution>& images) {
  std::vector<report::Picture> pictures;
  for (const auto& job : prepared.planned.plan.jobs) {
    const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
    if (sample != nullptr && sample->set.kind == "images")
      pictures = pictures_of(artifact_folders(prepared.run), job.digest);
  }
  std::vector<report::QueryCard> cards;
  for (std::size_t i = 0; i < images.size(); ++i) {
    report::QueryCard card{images[i].image.filename().string(),
                           "images",
                           "",
                           "",
                           i < pictures.size() ? pictures[i] : report::Picture{},
                           {}};
    report::MethodAnswer answer{prepared.method, {}, images[i].undecided};
    for (const GroupContribution& g : images[i].groups) answer.top.push_back({g.group, g.score, g.standard_error});
    card.answers.push_back(std::move(answer));
    cards.push_back(std::move(card));
  }
  return report::render_attribution_png(cards, "nats");
}

}  // namespace guda::orchestrator
