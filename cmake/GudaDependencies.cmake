find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Boost REQUIRED COMPONENTS program_options)
find_package(HDF5 REQUIRED COMPONENTS C HL)
find_package(MPI REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

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
if(GUDA_WITH_TESTS)
  find_package(doctest REQUIRED)
endif()
