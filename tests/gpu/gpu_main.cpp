// Tests that need a GPU. Without one they are skipped (77), saying why. GUDA_TEST_DEVICE=cpu compares the CPU with
// itself: nothing is shown but that the tests run.
#define DOCTEST_CONFIG_IMPLEMENT
#include "tests/gpu/gpu.hpp"
#include "tests/support/require_tests.hpp"

int main(int argc, char** argv) {
  if (!guda::test::on_cpu() && guda::worker::gpu_count() == 0) {
    std::printf("skipped: %s\n", guda::worker::why_no_gpu().c_str());
    return 77;
  }
  at::set_num_threads(4);
  doctest::Context context(argc, argv);
  return run_some_tests(context);
}
