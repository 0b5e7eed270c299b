// Test runner under mpirun: every rank runs the same test cases, and the exit code is the maximum over the ranks, so
// that a failure on one rank fails the test.
#define DOCTEST_CONFIG_IMPLEMENT
#include <mpi.h>

#include "tests/support/require_tests.hpp"

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  doctest::Context context(argc, argv);
  const int failed = run_some_tests(context);
  int worst = 0;
  MPI_Allreduce(&failed, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return worst;
}
