#pragma once
// What a decode step keeps between its stages, in device memory and in pinned memory of the host.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "a2ats/codeword_table_device.h"
#include "a2ats/kv_gather_device.h"
#include "a2ats/topk_retrieval_device.h"
#include "exec/device/runtime.h"
#include "kvsieve/kernels/retrieval_engine.h"

namespace kvsieve::kernels::KVSIEVE_BACKEND_NS {

/// The numbers that all layers share.
struct RetrievalShape {
  RetrievalShape(const RetrievalLayer& layer, const RetrievalEngineOptions& options);

  std::int64_t q_heads;
  std::int64_t kv_heads;
  std::int64_t group;
  std::int64_t head_dim;
  std::int64_t codewords;
  std::int64_t prompt_tokens;
  std::int64_t tokens;  ///< T, decoded ones included
  std::int64_t steps;
  traces::DType dtype;
  std::int64_t element_bytes;
  std::int64_t row_bytes;      ///< of K and V of a token
  std::int64_t resident_rows;  ///< the window's ring, then the sinks that have left it
  std::int64_t words;          ///< of a mask of all tokens
  std::int64_t capacity;       ///< of a list of retrieved tokens

  /// Resident rows that hold a token when the newest is i.
  [[nodiscard]] std::int64_t resident_tokens(std::int64_t i) const;
  /// The row of the window's ring that token j takes.
  [[nodiscard]] std::int64_t ring_row(std::int64_t j) const { return j % m_window; }
  /// Where the token that leaves the window when i arrives goes: its sink's row, or -1.
  [[nodiscard]] std::int64_t sink_row(std::int64_t i) const;
  [[nodiscard]] TokenRange eligible(std::int64_t i) const {
    return eligible_tokens(i, m_sinks, m_window);
  }

 private:
  std::int64_t m_sinks;
  std::int64_t m_window;
};

/// A layer's codebooks and the captured rows of its decode steps, on the device before the first
/// step: that they get there is no part of the method.
class LayerInputs {
 public:
  LayerInputs(const RetrievalLayer& layer, const RetrievalShape& shape, std::int64_t distance,
              Stream& stream);

  [[nodiscard]] CodewordTable table() const { return m_table_args.table(); }
  [[nodiscard]] const float* codewords() const { return m_codewords.data(); }

  DeviceBuffer<float> queries;  ///< [steps, Hq, d] before RoPE
  DeviceBuffer<float> keys;     ///< [steps, Hkv, d] before RoPE
  DeviceBuffer<float> values;   ///< [steps, Hkv, d]
  DeviceBuffer<float> far_cos;  ///< [pairs] of the constant distance
  DeviceBuffer<float> far_sin;
  DeviceBuffer<float> step_cos;  ///< [steps, pairs] of each step's position
  DeviceBuffer<float> step_sin;
  traces::RopeSpec rope;
  float scale = 1.0F;
  std::optional<float> softcap;

 private:
  DeviceBuffer<float> m_codewords;
  DeviceBuffer<float> m_weights;
  DeviceBuffer<float> m_biases;
  DeviceBuffer<float> m_centers;
  CodewordTableArgs m_table_args;
};

/// One layer of one sequence. What another lane may still read is the layer's own, not the
/// sequence's.
struct LayerCache {
  LayerCache(const RetrievalLayer& layer, const RetrievalShape& shape,
             const RetrievalEngineOptions& options);

  DeviceBuffer<std::uint16_t> codes;  ///< [Hkv, T]
  DeviceBuffer<std::int32_t> bucket_offsets;
  DeviceBuffer<std::int32_t> bucket_tokens;
  TokenRange bucketed;
  DeviceBuffer<std::byte> resident;  ///< [Hkv, resident_rows, 2, d]
  PinnedBuffer<std::byte> rows;      ///< [Hkv, T, 2, d], the whole cache
  DeviceBuffer<std::byte> message;   ///< what goes down
  PinnedBuffer<std::byte> host_message;
  DeviceBuffer<std::uint32_t> union_words;   ///< [Hkv, words]
  DeviceBuffer<std::uint32_t> member_words;  ///< [Hq, words]
  DeviceBuffer<std::int32_t> ties;           ///< [Hq]
  DeviceBuffer<std::int32_t> list_tokens;    ///< [Hkv, capacity]
  DeviceBuffer<std::int32_t> list_counts;    ///< [Hkv]
  PinnedBuffer<std::int32_t> host_tokens;
  PinnedBuffer<std::int32_t> host_counts;
  DeviceBuffer<float> output;    ///< [Hq, d]
  DeviceBuffer<float> log_sums;  ///< [Hq]
  DeviceBuffer<std::byte> hot_state;
  DeviceBuffer<std::byte> hot_pool;
  DeviceBuffer<std::int32_t> hot_rows;
  DeviceBuffer<std::int32_t> hot_misses;
  DeviceBuffer<std::int32_t> hot_bypassed;
};

/// A sequence: its lanes and what its layers use one after the other.
struct SequenceState {
  SequenceState(std::span<const RetrievalLayer> layers, const RetrievalShape& shape,
                const RetrievalEngineOptions& options);

  std::array<Stream, kStepLanes> lanes;
  std::vector<LayerCache> layers;
  DeviceBuffer<float> far_queries;    ///< [Hq, d] q R_b
  DeviceBuffer<float> near_queries;   ///< [Hq, d] at their own position
  DeviceBuffer<float> near_keys;      ///< [Hkv, d]
  DeviceBuffer<float> table;          ///< [Hq, C]
  DeviceBuffer<float> scores;         ///< [Hq, T], without buckets
  DeviceBuffer<std::byte> workspace;  ///< of the GPU lane, grown when a step needs more
  DeviceBuffer<std::byte> append_workspace;
  DeviceBuffer<std::byte> staging;  ///< [Hkv, capacity, 2, d] fetched rows
  DeviceBuffer<std::byte> partial;  ///< the host's result
  PinnedBuffer<std::byte> host_partial;
  DeviceBuffer<float> other;           ///< [Hq, d] attention over the retrieved tokens
  DeviceBuffer<float> other_log_sums;  ///< [Hq]
  std::vector<float> host_queries;     ///< of the CPU lane
  std::vector<float> host_output;
};

}  // namespace kvsieve::kernels::KVSIEVE_BACKEND_NS
