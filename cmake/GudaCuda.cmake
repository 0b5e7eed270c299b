# Optional parts are pairs of files, of which CMake compiles one: x_cuda.cpp or x_none.cpp, x_nccl.cpp or x_none.cpp.
# Callers know of neither.
#
# GUDA_WITH_CUDA  link the CUDA part of LibTorch; ON where nvcc and a LibTorch with CUDA are found (preset gpu)
# GUDA_WITH_NCCL  gangs over NCCL; ON where GUDA_WITH_CUDA is and nccl.h is found
# Where there is nvcc but no such LibTorch, the kernels are still compiled, so that they can't rot.
find_program(GUDA_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
find_path(GUDA_CUDA_INCLUDE cuda_runtime_api.h HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES include)
find_path(GUDA_NCCL_INCLUDE nccl.h HINTS ENV NCCL_HOME /usr/local/cuda PATH_SUFFIXES include)
set(guda_can_cuda OFF)
if(GUDA_WITH_TORCH AND GUDA_NVCC AND GUDA_CUDA_INCLUDE AND EXISTS ${GUDA_TORCH_DIR}/torch/lib/libtorch_cuda.so)
  set(guda_can_cuda ON)
endif()
option(GUDA_WITH_CUDA "Run on NVIDIA GPUs (./run setup --cuda fetches the CUDA part of LibTorch)" ${guda_can_cuda})
set(guda_can_nccl OFF)
if(GUDA_WITH_CUDA AND GUDA_NCCL_INCLUDE)
  set(guda_can_nccl ON)
endif()
option(GUDA_WITH_NCCL "Gangs of GPUs over NCCL" ${guda_can_nccl})
if(GUDA_WITH_CUDA AND NOT (GUDA_NVCC AND GUDA_CUDA_INCLUDE))
  message(FATAL_ERROR "GUDA_WITH_CUDA needs the CUDA toolkit (nvcc, cuda_runtime_api.h). Cure: CUDA_HOME=<its folder>, or -DGUDA_WITH_CUDA=OFF.")
endif()
if(GUDA_WITH_NCCL AND NOT (GUDA_WITH_CUDA AND GUDA_NCCL_INCLUDE))
  message(FATAL_ERROR "GUDA_WITH_NCCL needs GUDA_WITH_CUDA and nccl.h. Cure: NCCL_HOME=<its folder>, or -DGUDA_WITH_NCCL=OFF.")
endif()
# A number: machine code for that architecture. What is newer than the last one is compiled by the driver, at start.
set(GUDA_CUDA_ARCHITECTURES "80;90;100;120" CACHE STRING "GPU architectures that the kernels are compiled for")

# guda_choose_parts(SOURCES): of the files in this list variable those of the parts that are built
function(guda_choose_parts list)
  set(sources ${${list}})
  foreach(part cuda nccl)
    string(TOUPPER ${part} upper)
    foreach(source ${sources})
      if(source MATCHES "^(.*)_${part}\\.cpp$")
        if(GUDA_WITH_${upper})
          list(REMOVE_ITEM sources "${CMAKE_MATCH_1}_none.cpp")
        else()
          list(REMOVE_ITEM sources "${source}")
        endif()
      endif()
    endforeach()
  endforeach()
  set(${list} ${sources} PARENT_SCOPE)
endfunction()

# guda_cuda_objects(RESULT FILES...): compiles .cu files to one object each, for all architectures. Not CMake's CUDA
# language: its checks take longer than the files, and it would link what does not call CUDA by nvcc.
# -fmad=false: a sum of products has the same bits as on a CPU (worker/diffusion/normal.hpp); memory is what bounds us.
function(guda_cuda_objects result)
  set(architectures)
  foreach(architecture ${GUDA_CUDA_ARCHITECTURES})
    list(APPEND architectures -gencode arch=compute_${architecture},code=sm_${architecture})
    set(newest ${architecture})
  endforeach()
  list(APPEND architectures -gencode arch=compute_${newest},code=compute_${newest})
  set(objects)
  foreach(file ${ARGN})
    cmake_path(GET file STEM stem)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda/${stem}.o)
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${GUDA_NVCC} -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr ${architectures}
        -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler=-fPIC,-Wall,-Wextra -I${CMAKE_SOURCE_DIR} -MD -MF ${object}.d -MT ${object} -c ${file} -o ${object}
      DEPENDS ${file} DEPFILE ${object}.d COMMENT "Building CUDA object ${stem}.o" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${result} ${objects} PARENT_SCOPE)
endfunction()
