// evaluate: what shows whether scores are right without the oracle.
#include <iostream>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/evaluation.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_results.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int evaluate_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "schema 1 of docs/formats.md");
  const auto values = parse({"guda evaluate RUN [--json]",
                             "Linear datamodelling score, removal of top training items, self-influence: what the "
                             "section `evaluation` and query sets of kind `training` ask for. Works on a live run.",
                             "  guda evaluate runs/lds\n  guda evaluate runs/removal --json\n"},
                            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  const Evaluation evaluation = evaluate_run(run, load_plan(run));
  std::cout << (values->contains("json") ? to_json(evaluation).dump(2) + "\n" : evaluation_tables(evaluation));
  return kDone;
}

}  // namespace guda::cli
