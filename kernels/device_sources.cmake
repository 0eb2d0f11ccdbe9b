# The device sources: exec/simt compiles them with the host compiler, exec/cuda with nvcc.
set(device_sources
  a2ats/code_buckets.cu
  a2ats/codebook_training.cu
  a2ats/codeword_table.cu
  a2ats/key_encoding.cu
  a2ats/kmeans.cu
  a2ats/kmeans_seeds.cu
  a2ats/kv_gather.cu
  a2ats/query_moment.cu
  a2ats/score_lookup.cu
  a2ats/step_messages.cu
  a2ats/topk_retrieval.cu
  a2ats/windowed_rope.cu
  adakv/budget_allocation.cu
  adakv/cache_compaction.cu
  adakv/eviction_loss.cu
  adakv/projected_loss.cu
  adakv/token_selection.cu
  adakv/window_scores.cu
  attention/ragged_decode.cu
  attention/sparse_decode.cu
  attention/value_norms.cu
)
list(TRANSFORM device_sources PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
