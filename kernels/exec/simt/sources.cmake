# The host SIMT executor. Tests compile it once more, with sanitizers.
set(simt_executor_sources
  block.cpp
  executor.cpp
  fiber.cpp
  grid.cpp
  order.cpp
  pinned_memory.cpp
  queue.cpp
  runtime_simt.cpp
  static_shared.cpp
  sync_deletion.cpp
  thread.cpp
)
list(TRANSFORM simt_executor_sources PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
