# `cmake --install` and the tarball: bin/, lib/guda/ with the shared objects that a user's machine need not have, and
# share/guda/. The folder can be moved: programs look in $ORIGIN/../lib/guda. DT_RPATH (not RUNPATH) is used, because it
# also counts for what the libraries in lib/guda need themselves.

set(GUDA_INSTALL_RPATH "$ORIGIN/../lib/guda")

function(guda_install_program target)
  add_dependencies(guda_programs ${target})
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "${GUDA_INSTALL_RPATH}")
  target_link_options(${target} PRIVATE LINKER:--disable-new-dtags)
  install(TARGETS ${target} RUNTIME_DEPENDENCY_SET guda_shared_objects RUNTIME DESTINATION bin)
  set_property(GLOBAL APPEND PROPERTY guda_installed_programs ${target})
endfunction()

# Called once, after all programs. Left to the target machine: glibc, the C++ runtime, the graphics driver, and MPI,
# whose mpirun, plugins and libraries belong together.
function(guda_install_shared_objects)
  get_property(programs GLOBAL PROPERTY guda_installed_programs)
  if(programs)
    install(RUNTIME_DEPENDENCY_SET guda_shared_objects
      PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|util|pthread|resolv|stdc\\+\\+|gcc_s)\\.so" "^lib(mpi|open-rte|open-pal)[^/]*\\.so"
        "^libcuda\\.so"
      DIRECTORIES ${GUDA_TORCH_RUNTIME_DIRS}
      LIBRARY DESTINATION lib/guda)
  endif()
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/jobs/recipes ${CMAKE_SOURCE_DIR}/jobs/data DESTINATION share/guda OPTIONAL)
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/THIRD_PARTY.md ${CMAKE_SOURCE_DIR}/README.md
    DESTINATION share/doc/guda OPTIONAL)
  install(FILES ${CMAKE_SOURCE_DIR}/cmake/packaging/modulefile DESTINATION share/guda/modulefiles/guda RENAME ${PROJECT_VERSION})
  file(GLOB licences ${GUDA_TORCH_DIR}/*.dist-info)
  foreach(licence ${licences})
    install(DIRECTORY ${licence} DESTINATION share/doc/guda/licences)
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL guda_install_shared_objects)
