# LibTorch as an imported target of our own. find_package(Torch) enables the CUDA language and probes the toolkit even
# for a CPU-only link; we need three shared objects and two include folders.
set(torch_root ${GUDA_TORCH_DIR}/torch)
if(NOT EXISTS ${torch_root}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch not found in ${GUDA_TORCH_DIR} (no torch/lib/libtorch_cpu.so). "
    "Cure: ./run setup, or -DGUDA_TORCH_DIR=<site-packages of torch 2.11>, or -DGUDA_WITH_TORCH=OFF.")
endif()
file(GLOB cuda_runtime_dirs LIST_DIRECTORIES true ${GUDA_TORCH_DIR}/nvidia/*/lib)
add_library(guda_dep_torch INTERFACE)
target_include_directories(guda_dep_torch SYSTEM INTERFACE ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
target_link_libraries(guda_dep_torch INTERFACE ${torch_root}/lib/libtorch_cpu.so ${torch_root}/lib/libc10.so)
# LibTorch ships the headers of its own {fmt} and they come first on the include path, but it exports none of the code.
target_compile_definitions(guda_dep_torch INTERFACE FMT_HEADER_ONLY)
# libtorch_cpu.so needs libcudart.so.13 and libcupti.so.13 even on a CPU: they come from two small wheels.
foreach(dir ${torch_root}/lib ${cuda_runtime_dirs})
  target_link_options(guda_dep_torch INTERFACE "LINKER:-rpath-link,${dir}")
endforeach()
set(GUDA_TORCH_RUNTIME_DIRS ${torch_root}/lib ${cuda_runtime_dirs})
