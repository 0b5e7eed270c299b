// guda_sample_report FILE.html: the made-up report of sample_report.hpp, as input of the browser test.
#include <cstdio>
#include <exception>

#include "common/files.hpp"
#include "orchestrator/report/report.hpp"
#include "tests/support/sample_report.hpp"

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: guda_sample_report FILE.html\n");
    return 2;
  }
  guda::replace_file(argv[1], guda::orchestrator::report::render_report(guda::tests::sample_report()));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "guda_sample_report: %s\n", error.what());
  return 1;
}
