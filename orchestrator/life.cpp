#include "orchestrator/life.hpp"

#include <fmt/format.h>

namespace guda::orchestrator {

Json to_json(const Life& l) {
  return {{"epoch", l.epoch},
          {"epoch_name", fmt::format("{:04}", l.epoch)},
          {"token", l.token},
          {"threads", l.threads},
          {"beat_every", l.beat_every},
          {"checkpoint_every", l.checkpoint_every},
          {"cancel_grace", l.cancel_grace},
          {"deadline", l.deadline},
          {"chaos", l.chaos},
          {"isa", l.isa},
          {"visible_within", l.visible_within},
          {"suspect_after", l.scheduler.suspect_after},
          {"lost_after", l.scheduler.lost_after},
          {"no_progress_after", l.scheduler.no_progress_after},
          {"crash_limit", l.scheduler.crash_limit}};
}

Life life_from_json(const Json& j) {
  Life l;
  j.at("epoch").get_to(l.epoch);
  j.at("token").get_to(l.token);
  j.at("threads").get_to(l.threads);
  j.at("beat_every").get_to(l.beat_every);
  j.at("cancel_grace").get_to(l.cancel_grace);
  j.at("deadline").get_to(l.deadline);
  j.at("chaos").get_to(l.chaos);
  j.at("isa").get_to(l.isa);
  j.at("checkpoint_every").get_to(l.checkpoint_every);
  j.at("visible_within").get_to(l.visible_within);
  j.at("suspect_after").get_to(l.scheduler.suspect_after);
  j.at("lost_after").get_to(l.scheduler.lost_after);
  j.at("no_progress_after").get_to(l.scheduler.no_progress_after);
  j.at("crash_limit").get_to(l.scheduler.crash_limit);
  return l;
}

}  // namespace guda::orchestrator
