// Writes a results.h5 for results_h5.py: half of it, then waits for a line on stdin with the file open, then the
// rest.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "common/digest.hpp"
#include "orchestrator/group_scores.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;

namespace {

/// losses: full 1, group k of query q on slot s: 1 + k + q/8 + s/64 (exact in float32).
void write_block(orchestrator::ResultsFile& file, const jobs::Plan& plan, std::uint32_t block) {
  const auto [first, count] = plan.blocks[block];
  const auto slots = static_cast<std::uint32_t>(plan.slots.size());
  const std::vector<float> ones(std::size_t{count} * slots, 1.0F);
  file.write_losses("full", 0, first, 0, count, slots, ones);
  file.mark_done("full", 0, block);
  for (std::uint32_t k = 0; k < plan.groups.size(); ++k) {
    std::vector<float> rows;
    for (std::uint32_t q = first; q < first + count; ++q) {
      for (std::uint32_t s = 0; s < slots; ++s) {
        rows.push_back(1.0F + static_cast<float>(k) + static_cast<float>(q) / 8 + static_cast<float>(s) / 64);
      }
    }
    file.write_losses("logo", k, first, 0, count, slots, rows);
    file.mark_done("logo", k, block);
  }
}

void write(const char* path) {
  const auto plan =
      test::synthetic_plan({.groups = 10, .queries = 24, .timesteps = 6, .block = 16, .sets = {"generated", "real"}},
                           {{"logo", "logo"}, {"exact", "guda"}, {"knn", "knn"}});
  orchestrator::ResultsFile::create(path, orchestrator::ResultsShape::of(plan),
                                    {{"config", {{"name", "synthetic \u00e9"}}}, {"build", "test"}, {"seeds", {0}}});
  auto file = orchestrator::ResultsFile::open(path);
  write_block(file, plan, 0);
  std::puts("half");
  std::fflush(stdout);
  if (std::getchar() == EOF) std::exit(3);
  for (std::uint32_t block = 1; block < plan.blocks.size(); ++block) write_block(file, plan, block);
  orchestrator::write_main_scores(file, orchestrator::read_results(path), plan);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: guda_write_results FILE\n", stderr);
    return 2;
  }
  try {
    write(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
