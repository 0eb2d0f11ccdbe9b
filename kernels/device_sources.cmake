# The device sources: exec/simt compiles them with the host compiler, exec/cuda with nvcc.
set(device_sources
  adakv/cache_compaction.cu
)
list(TRANSFORM device_sources PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
