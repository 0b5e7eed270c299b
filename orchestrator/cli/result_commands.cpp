// compare, report, export: what is read out of a run directory. All of them work while the run goes on.
#include <fmt/format.h>

#include <iostream>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/print_comparison.hpp"
#include "orchestrator/export_csv.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_results.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int compare_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "schema 1 of docs/formats.md: every metric with interval and p-value in every view")(
      "all", "every view: also the same-draw ones of the papers' protocol and the other references");
  const auto values =
      parse({"guda compare RUN [--all] [--json]",
             "How well each method agrees with the LOGO oracle, with intervals, chance, repeatability and ceiling.",
             "  guda compare runs/digits\n  guda compare runs/digits --json > agreement.json\n"},
            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  print_comparison(compare_run(run, load_plan(run)), values->contains("json"), values->contains("all"));
  return kDone;
}

int report_command(const Arguments& arguments) {
  const auto values =
      parse({"guda report RUN", "Writes RUN/report.html again from what is there; works on an unfinished run too.",
             "  guda report runs/digits\n"},
            po::options_description("options"), {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  std::cout << write_report(run, load_plan(run)).string() << "\n";
  return kDone;
}

int export_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("csv", po::value<std::string>()->required(), "folder for the CSV files; made when missing")(
      "sorted", "also sorted_<method>.csv, the layout of GUDA's released evaluation");
  const auto values =
      parse({"guda export RUN --csv DIR [--sorted]",
             "Writes scores_<method>.csv and comparison.csv. results.h5 itself opens in h5py and xarray.",
             "  guda export runs/digits --csv tables\n"},
            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  const jobs::Plan plan = load_plan(run);
  for (const auto& file : export_csv((*values)["csv"].as<std::string>(), read_results(run.results()), plan,
                                     compare_run(run, plan), {.sorted_layout = values->contains("sorted")})) {
    std::cout << file.string() << "\n";
  }
  return kDone;
}

}  // namespace guda::cli
