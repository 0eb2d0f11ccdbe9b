# The device sources: exec/simt compiles them with the host compiler, exec/cuda with nvcc.
set(device_sources
)
list(TRANSFORM device_sources PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
