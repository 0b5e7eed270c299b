// compare, report, export: what is read out of a run directory. All of them work while the run goes on.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <map>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/print_comparison.hpp"
#include "orchestrator/export_csv.hpp"
#include "orchestrator/import_csv.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_results.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

/// --scores NAME=FILE
std::map<std::string, RecordedScores> recorded_from(const po::variables_map& values) {
  std::map<std::string, RecordedScores> recorded;
  if (!values.contains("scores")) return recorded;
  for (const std::string& text : values["scores"].as<std::vector<std::string>>()) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw UsageError("--scores wants NAME=FILE.csv, not '" + text + "'");
    if (!recorded.try_emplace(text.substr(0, equals), read_scores_csv(text.substr(equals + 1))).second)
      throw UsageError("--scores: the name '" + text.substr(0, equals) + "' is given twice");
  }
  return recorded;
}

}  // namespace

int compare_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "schema 1 of docs/formats.md: every metric with interval and p-value in every view")(
      "all", "every view: also the same-draw ones of the papers' protocol and the other references")(
      "by-class", "agreement on the queries of each class, with intervals")(
      "over-groups",
      "intervals by resampling whole groups of queries (class, style asked for, or prompt) instead of single ones")(
      "scores", po::value<std::vector<std::string>>()->composing(),
      "NAME=FILE.csv: scores that were made elsewhere, as one more method (repeatable; layouts in docs/formats.md)");
  const auto values =
      parse({"guda compare RUN [--all] [--by-class | --over-groups] [--scores NAME=FILE.csv] [--json]",
             "How well each method agrees with the LOGO oracle, with intervals, chance, repeatability and ceiling. RUN "
             "may be a "
             "CSV\nfile of the oracle's scores: then recorded tables are compared, without any run.",
             "  guda compare runs/digits\n  guda compare runs/digits --json > agreement.json\n"
             "  guda compare runs/digits --scores trak=trak.csv\n"
             "  guda compare delta_elbo_logo_sorted.csv --scores guda=delta_elbo_unlearned_sorted.csv\n"},
            options, {"run"}, arguments);
  if (!values) return kDone;
  const std::filesystem::path subject = (*values)["run"].as<std::string>();
  const auto recorded = recorded_from(*values);
  ComparisonOutput output{.json = values->contains("json"),
                          .all = values->contains("all"),
                          .by_class = values->contains("by-class"),
                          .over_groups = values->contains("over-groups")};
  if (output.by_class && output.over_groups)
    throw UsageError("--by-class looks at one group of queries at a time; leave out --over-groups");
  if (std::filesystem::is_regular_file(subject)) {
    if (recorded.empty())
      throw UsageError(subject.string() + " is an oracle's table; --scores NAME=FILE.csv names others");
    output.all = true;
    print_comparison(compare_recorded(subject.stem().string(), read_scores_csv(subject), recorded), output);
    return kDone;
  }
  const RunLayout run{subject};
  print_comparison(compare_run(run, load_plan(run), recorded), output);
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
      "sorted", "also sorted_<method>.csv, the layout of GUDA's released evaluation of CIFAR-10")(
      "canvas", "also canvas_<method>.csv, the layout of its evaluation of UnlearnCanvas");
  const auto values =
      parse({"guda export RUN --csv DIR [--sorted] [--canvas]",
             "Writes scores_<method>.csv and comparison.csv. results.h5 itself opens in h5py and xarray.",
             "  guda export runs/digits --csv tables\n"},
            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  const jobs::Plan plan = load_plan(run);
  for (const auto& file :
       export_csv((*values)["csv"].as<std::string>(), read_results(run.results()), plan, compare_run(run, plan),
                  {.sorted_layout = values->contains("sorted"), .canvas_layout = values->contains("canvas")})) {
    std::cout << file.string() << "\n";
  }
  return kDone;
}

}  // namespace guda::cli
