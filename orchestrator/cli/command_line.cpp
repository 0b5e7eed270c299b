#include "orchestrator/cli/command_line.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

namespace guda::cli {
namespace po = boost::program_options;

std::optional<po::variables_map> parse(const Synopsis& synopsis, po::options_description options,
                                       const std::vector<std::string>& positional,
                                       const std::vector<std::string>& arguments) {
  options.add_options()("help,h", "show this text");
  po::options_description all;
  all.add(options);
  po::positional_options_description order;
  for (std::string name : positional) {
    const bool many = name.ends_with('+');
    if (many) name.pop_back();
    if (many) all.add_options()(name.c_str(), po::value<std::vector<std::string>>());
    else all.add_options()(name.c_str(), po::value<std::string>());
    order.add(name.c_str(), many ? -1 : 1);
  }
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(order).run(), values);
    if (values.contains("help")) {
      std::cout << "usage: " << synopsis.usage << "\n"
                << synopsis.purpose << "\n\n"
                << options << "\nexamples:\n"
                << synopsis.examples;
      return std::nullopt;
    }
    po::notify(values);
  } catch (const po::error& e) {
    throw UsageError(std::string(e.what()) + "\nusage: " + synopsis.usage + " (--help says more)");
  }
  for (std::string name : positional) {
    if (name.ends_with('+')) name.pop_back();
    if (!values.contains(name))
      throw UsageError("missing " + name + "\nusage: " + synopsis.usage + " (--help says more)");
  }
  return values;
}

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

}  // namespace guda::cli
