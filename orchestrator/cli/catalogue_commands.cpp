// methods, config-reference: what there is to choose from.
#include <fmt/format.h>

#include <iostream>

#include "jobs/config_reference.hpp"
#include "jobs/methods/methods.hpp"
#include "jobs/operators.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"

namespace guda::cli {
namespace po = boost::program_options;

int methods_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "print as JSON");
  const auto values = parse(
      {"guda methods [--json]", "The attribution methods and unlearning operators, with their fidelity to the source.",
       "  guda methods\n"},
      options, {}, arguments);
  if (!values) return kDone;
  if (values->contains("json")) {
    Json out{{"methods", Json::array()}, {"operators", Json::array()}};
    for (const jobs::Method& m : jobs::methods()) {
      out["methods"].push_back(
          {{"name", m.name}, {"summary", m.summary}, {"fidelity", m.fidelity}, {"source", m.source}});
    }
    for (const jobs::OperatorInfo& o : jobs::operators()) {
      out["operators"].push_back({{"name", o.name}, {"summary", o.summary}, {"fidelity", o.fidelity}});
    }
    std::cout << out.dump(2) << "\n";
    return kDone;
  }
  std::cout << "methods (method: NAME)\n";
  for (const jobs::Method& m : jobs::methods())
    std::cout << fmt::format("  {:<17} {:<24} {}\n", m.name, m.fidelity, m.summary);
  std::cout << "\nunlearning operators (method: guda, unlearn: {op: NAME})\n";
  for (const jobs::OperatorInfo& o : jobs::operators())
    std::cout << fmt::format("  {:<17} {:<24} {}\n", o.name, o.fidelity, o.summary);
  return kDone;
}

int config_reference_command(const Arguments& arguments) {
  const auto values = parse({"guda config-reference", "Every key of the experiment file, as docs/config.md has it.",
                             "  guda config-reference | less\n"},
                            po::options_description("options"), {}, arguments);
  if (!values) return kDone;
  std::cout << jobs::config_reference();
  return kDone;
}

}  // namespace guda::cli
