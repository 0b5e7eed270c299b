# Finds every library outside the tree and reports all that are missing at once, with the Debian package that has it.
# cmake/probe configures this file alone, so that `./run setup` can ask the same question without the rest of the tree.
set(guda_missing "")
macro(guda_need debian_package package)
  find_package(${package} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    list(APPEND guda_missing "  ${package} (Debian and Ubuntu: ${debian_package})")
  endif()
endmacro()

guda_need(libc6-dev Threads)
guda_need(zlib1g-dev ZLIB)
guda_need(libpng-dev PNG)
guda_need(libjpeg-dev JPEG)
guda_need(nlohmann-json3-dev nlohmann_json)
guda_need(libfmt-dev fmt)
guda_need(libyaml-cpp-dev yaml-cpp)
guda_need(libboost-program-options-dev Boost COMPONENTS program_options)
guda_need(libhdf5-dev HDF5 COMPONENTS C HL)
guda_need(libopenmpi-dev MPI COMPONENTS C)
guda_need(pkg-config PkgConfig)
if(PkgConfig_FOUND)
  pkg_check_modules(xxhash QUIET IMPORTED_TARGET libxxhash)
  pkg_check_modules(utf8proc QUIET IMPORTED_TARGET libutf8proc)
endif()
if(NOT TARGET PkgConfig::xxhash)
  list(APPEND guda_missing "  xxhash (Debian and Ubuntu: libxxhash-dev)")
endif()
if(NOT TARGET PkgConfig::utf8proc)
  list(APPEND guda_missing "  utf8proc (Debian and Ubuntu: libutf8proc-dev)")
endif()
if(GUDA_WITH_TESTS)
  guda_need(doctest-dev doctest)
  guda_need(librapidcheck-dev rapidcheck)
endif()

if(guda_missing)
  list(JOIN guda_missing "\n" guda_missing)
  message(FATAL_ERROR "Missing libraries:\n${guda_missing}\n"
    "Cure: ./run setup installs them on Debian and Ubuntu; elsewhere load their modules or name their prefixes in "
    "CMAKE_PREFIX_PATH (and PKG_CONFIG_PATH). docs/install.md has examples.")
endif()

# Debian's yaml-cpp 0.7 exports `yaml-cpp`, 0.8 exports `yaml-cpp::yaml-cpp`.
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()

# HDF5 as an imported target of our own: Debian builds serial and Open MPI variants side by side, and FindHDF5's
# targets carry compile definitions of whichever it met first.
add_library(guda_dep_hdf5 INTERFACE)
target_include_directories(guda_dep_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
target_link_libraries(guda_dep_hdf5 INTERFACE ${HDF5_C_LIBRARIES} ${HDF5_C_HL_LIBRARIES})

add_library(guda_dep_mpi INTERFACE)
target_link_libraries(guda_dep_mpi INTERFACE MPI::MPI_C)
target_compile_definitions(guda_dep_mpi INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)

if(GUDA_WITH_TORCH)
  include(GudaTorch)
endif()
