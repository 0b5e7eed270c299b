# ccache in front of the compiler, where there is one. Its settings travel in the launcher, so that ninja called by hand
# profits too: a precompiled header is only cached with this sloppiness, and paths below the tree do not count, so that
# clones in different folders share results.
if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(GUDA_CCACHE ccache)
  if(GUDA_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${GUDA_CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
endif()
