// guda_sample_report FILE.html [FILE.png]: the made-up report of sample_report.hpp, as input of the browser test, and
// the picture of `guda attribute --png` for three of its queries.
#include <cstdio>
#include <exception>
#include <string_view>

#include "common/files.hpp"
#include "orchestrator/report/attribution_png.hpp"
#include "orchestrator/report/report.hpp"
#include "tests/support/sample_report.hpp"

int main(int argc, char** argv) try {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: guda_sample_report FILE.html [FILE.png]\n");
    return 2;
  }
  guda::replace_file(argv[1], guda::orchestrator::report::render_report(guda::tests::sample_report()));
  if (argc == 3) {
    auto cards = guda::tests::sample_report().cards;
    cards.resize(3);
    for (auto& card : cards) card.answers.resize(2);
    cards[1].answers[1].undecided = true;
    const auto bytes = guda::orchestrator::report::render_attribution_png(cards, "nats");
    guda::replace_file(argv[2], {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "guda_sample_report: %s\n", error.what());
  return 1;
}
