# CUDA is optional: a build without nvcc has every CPU feature. Targets with device code ask
# KVSIEVE_HAS_CUDA, which says whether nvcc works here (a GPU is never needed to build).

include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  set(KVSIEVE_HAS_CUDA ON)
  message(STATUS "CUDA compiler: ${CMAKE_CUDA_COMPILER}")
else()
  set(KVSIEVE_HAS_CUDA OFF)
  message(STATUS "CUDA compiler: none (the cpu backend needs none)")
endif()
