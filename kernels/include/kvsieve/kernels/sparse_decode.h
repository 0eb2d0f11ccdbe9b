#pragma once
// Decode attention over a selected set of tokens whose K and V rows lie adjacent, with the
// log-sum-exp that merges it with the attention over any other, disjoint set.

#include <cstdint>
#include <optional>

#include "kvsieve/kernels/work.h"
#include "kvsieve/traces/dtype.h"

namespace kvsieve::kernels {

/// K and V of the tokens of S segments (KV heads of sequences): row r of segment s is K [d] then
/// V [d], at element (s * segment_rows + r) * 2 d. Aligned to 16 bytes. Host memory for the cpu
/// backend, device memory for the others.
struct KvRows {
  const void* rows = nullptr;  ///< [S, segment_rows, 2, d]
  traces::DType dtype = traces::DType::kF16;
  std::int64_t head_dim = 0;
  std::int64_t segment_rows = 0;
};

/// Bytes of a row, K and V.
[[nodiscard]] constexpr std::int64_t row_bytes(std::int64_t d, std::int64_t element_bytes) {
  return 2 * d * element_bytes;
}

struct SparseDecodeArgs {
  KvRows cache;
  std::int64_t segments = 0;
  const float* queries = nullptr;  ///< [S, G, d], rotated as the keys are
  std::int64_t group = 1;          ///< G, 1 to 8
  /// [S, capacity] rows to attend to, any order; null: rows [0, counts[s]).
  const std::int32_t* rows = nullptr;
  std::int64_t capacity = 0;             ///< >= every count
  const std::int32_t* counts = nullptr;  ///< [S]
  float scale = 1.0F;                    ///< of q . k
  std::optional<float> softcap;          ///< c > 0: scores become c tanh(score / c)
  float* out = nullptr;                  ///< [S, G, d]; zeros where nothing is attended to
  float* log_sums = nullptr;             ///< [S, G] ln sum exp(score), -inf if empty
  std::int64_t shares = 0;  ///< equal pieces of work; 0 lets the backend choose, as cpu does
};

/// Softmax attention over the listed rows on the CPU, fp32 sums. The result does not depend on the
/// number of threads. Throws Error(kUsage) for a group, dtype or row size that is not supported.
void sparse_decode(const SparseDecodeArgs& args);

/// Merges `other` into `out` over disjoint sets of tokens: rows [n, d] and their log-sum-exps [n]
/// become those of the union. Empty parts (-inf) change nothing.
void merge_partial(float* out, float* log_sums, const float* other, const float* other_log_sums,
                   std::int64_t n, std::int64_t d);

/// Work of sparse_decode over `rows` rows of all segments together. An exponential counts one.
[[nodiscard]] constexpr Work sparse_decode_work(std::int64_t rows, std::int64_t segments,
                                                std::int64_t group, std::int64_t d,
                                                std::int64_t element_bytes) {
  return {rows * (row_bytes(d, element_bytes) + 4) + segments * (group * d * 4 + 4),
          segments * group * (d + 1) * 4, rows * group * (4 * d + 1)};
}

/// Work of merging two parts of n rows.
[[nodiscard]] constexpr Work merge_partial_work(std::int64_t n, std::int64_t d) {
  return {2 * n * (d + 1) * 4, n * (d + 1) * 4, 3 * n * d};
}

}  // namespace kvsieve::kernels
