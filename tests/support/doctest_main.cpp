// Test runner. A source-file filter that matches no test case is an error: a test that cannot run must not pass.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  struct CountTests : doctest::IReporter {
    static unsigned& count() {
      static unsigned n = 0;
      return n;
    }
    explicit CountTests(const doctest::ContextOptions&) {}
    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats& stats) override { count() = stats.numTestCasesPassingFilters; }
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
  };
  doctest::registerReporter<CountTests>("count", 0, false);
  const int result = context.run();
  if (context.shouldExit()) return result;
  if (CountTests::count() == 0) {
    std::fprintf(stderr, "no test case matches the filter\n");
    return 2;
  }
  return result;
}
