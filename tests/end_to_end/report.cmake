# The sample report that tests/end_to_end/report_browser.sh opens in a real browser.
add_executable(guda_sample_report support/sample_report_main.cpp)
guda_settings(guda_sample_report)
target_link_libraries(guda_sample_report PRIVATE guda_orchestrator)
