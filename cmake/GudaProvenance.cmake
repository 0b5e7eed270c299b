# generated/guda_build.hpp: version and commit, refreshed at configure time. Provenance only: never part of a digest.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE guda_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT guda_commit)
  set(guda_commit unknown)
endif()
configure_file(${CMAKE_SOURCE_DIR}/cmake/guda_build.hpp.in ${CMAKE_BINARY_DIR}/generated/guda_build.hpp)
