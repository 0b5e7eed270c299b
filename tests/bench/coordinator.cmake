# What ./run bench coordinator starts; no test.
add_executable(guda_noop_run bench/noop_run_main.cpp)
guda_settings(guda_noop_run)
target_link_libraries(guda_noop_run PRIVATE guda_orchestrator)
