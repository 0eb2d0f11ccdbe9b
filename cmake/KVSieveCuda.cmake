# CUDA is optional: a build without nvcc has the cpu and simt backends. With nvcc the same device
# sources are also compiled for GPUs (a GPU is never needed to build).

set(KVSIEVE_ENABLE_CUDA AUTO CACHE STRING
    "Compile the device kernels for GPUs, which takes minutes: AUTO (when nvcc is found), ON or OFF")
set_property(CACHE KVSIEVE_ENABLE_CUDA PROPERTY STRINGS AUTO ON OFF)

if(NOT KVSIEVE_ENABLE_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(KVSIEVE_ENABLE_CUDA STREQUAL "ON" AND NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "KVSIEVE_ENABLE_CUDA is ON, but there is no nvcc")
  endif()
endif()
# Sanitizers are for host code: the simt backend runs the kernels' source under them.
if(CMAKE_CUDA_COMPILER AND NOT KVSIEVE_ENABLE_CUDA STREQUAL "OFF" AND KVSIEVE_SANITIZER STREQUAL "")
  set(CMAKE_CUDA_ARCHITECTURES 80 90 100 CACHE STRING
      "GPU architectures to compile for: machine code and PTX, which the PTX executor runs")
  enable_language(CUDA)
  set(KVSIEVE_HAS_CUDA ON)
  message(STATUS "CUDA compiler: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}")
else()
  set(KVSIEVE_HAS_CUDA OFF)
  message(STATUS "CUDA compiler: not used (the cpu and simt backends need none)")
endif()

# The PTX executor runs nvcc's objects; older versions pack them in another way.
set(KVSIEVE_HAS_PTX OFF)
if(KVSIEVE_HAS_CUDA AND CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  set(KVSIEVE_HAS_PTX ON)
elseif(KVSIEVE_HAS_CUDA)
  message(STATUS "kvsieve-counters and the ptx tests are left out: they need nvcc 13")
endif()

if(KVSIEVE_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${KVSIEVE_CCACHE}")
endif()

function(kvsieve_cuda_target_defaults target)
  # CMake 3.25 does not know that nvcc 13 speaks C++20 and would drop the standard silently.
  set(options -std=c++20 --expt-relaxed-constexpr -lineinfo)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${options}>")
  # fmt takes nvcc for a compiler that can evaluate its format checks; it cannot.
  target_compile_definitions(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:FMT_CONSTEVAL=;FMT_USE_CONSTEXPR=1>")
endfunction()
