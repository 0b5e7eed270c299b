# The report in a real browser. Exit status 77 (no Chromium, no Python) is shown as skipped.
add_executable(guda_sample_report support/sample_report_main.cpp)
guda_settings(guda_sample_report)
target_link_libraries(guda_sample_report PRIVATE guda_orchestrator)
add_test(NAME browser.report
  COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/end_to_end/report_browser.sh $<TARGET_FILE:guda_sample_report>)
set_tests_properties(browser.report PROPERTIES LABELS browser TIMEOUT 600 SKIP_RETURN_CODE 77)
