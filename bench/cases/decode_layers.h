#pragma once
// Some layers of Llama-3.1-8B after eviction, with heads of unequal length, for decode benchmarks.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvsieve/kernels/ragged_decode.h"

namespace kvsieve::bench {

/// Ragged caches with random rows that are as many as it takes to leave the caches of the
/// processor: a model's decode step meets no layer twice.
class DecodeLayers {
 public:
  static constexpr std::int64_t kSegments = 8;
  static constexpr std::int64_t kGroup = 4;
  static constexpr std::int64_t kHeadDim = 128;

  /// @param tokens n of the prompt; a fifth of it stays, from half to one and a half times as many
  /// a head as in the mean
  /// @param least_bytes of all layers together
  DecodeLayers(std::int64_t tokens, traces::DType dtype, std::int64_t least_bytes);

  /// The decode step of the next layer in turn.
  [[nodiscard]] kernels::RaggedDecodeArgs next();
  [[nodiscard]] kernels::RaggedDecodeArgs args(std::int64_t layer);
  [[nodiscard]] kernels::Work work() const;
  [[nodiscard]] const std::vector<std::int32_t>& lengths() const { return m_lengths; }
  [[nodiscard]] std::int64_t layers() const { return m_layers; }

 private:
  traces::DType m_dtype;
  std::vector<std::int32_t> m_lengths;
  std::vector<std::int64_t> m_offsets = {0};
  std::int64_t m_layers = 0;
  std::int64_t m_turn = 0;
  std::vector<std::byte> m_memory;
  std::byte* m_rows = nullptr;  ///< in m_memory, at a multiple of 64 bytes
  std::vector<float> m_queries;
  std::vector<float> m_out;
  std::vector<float> m_log_sums;
};

}  // namespace kvsieve::bench
