#define DOCTEST_CONFIG_IMPLEMENT
#include "tests/support/require_tests.hpp"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  return run_some_tests(context);
}
