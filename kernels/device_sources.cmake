# The device sources: exec/simt compiles them with the host compiler, exec/cuda with nvcc.
set(device_sources
  a2ats/codebook_training.cu
  a2ats/codeword_table.cu
  a2ats/key_encoding.cu
  a2ats/kmeans.cu
  a2ats/kmeans_seeds.cu
  a2ats/query_moment.cu
  adakv/budget_allocation.cu
  adakv/cache_compaction.cu
  adakv/eviction_loss.cu
  adakv/projected_loss.cu
  adakv/token_selection.cu
  adakv/window_scores.cu
  attention/value_norms.cu
  attention/ragged_decode.cu
)
list(TRANSFORM device_sources PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
