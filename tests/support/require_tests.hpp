#pragma once
// A filter that matches no test case is an error: a test that cannot run must not pass.
#include <doctest/doctest.h>

#include <cstdio>

/// doctest listener that counts the test cases a run's filters let through.
struct TestCaseCount : doctest::IReporter {
  static unsigned& value() {
    static unsigned n = 0;
    return n;
  }
  explicit TestCaseCount(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override { value() = stats.numTestCasesPassingFilters; }
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

/// context.run(), but 2 if no test case was selected. Call once a process.
inline int run_some_tests(doctest::Context& context) {
  doctest::registerReporter<TestCaseCount>("count", 0, false);
  const int result = context.run();
  if (context.shouldExit() || TestCaseCount::value() > 0) return result;
  std::fprintf(stderr, "no test case matches the filter\n");
  return 2;
}
