# The sample report that tests/end_to_end/report_browser.sh opens in a real browser.
add_executable(guda_sample_report support/sample_report_main.cpp)
guda_settings(guda_sample_report)
target_link_libraries(guda_sample_report PRIVATE guda_orchestrator)
# The pictures that pictures.py trains on.
add_executable(guda_write_canvas support/write_canvas_main.cpp)
guda_settings(guda_write_canvas)
target_link_libraries(guda_write_canvas PRIVATE guda_common)
