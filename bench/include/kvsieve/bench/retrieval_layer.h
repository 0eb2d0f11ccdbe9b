#pragma once
// Retrieval over one layer of Llama-3.1-8B with a codebook of 4,096 codewords a KV head.

#include <cstdint>
#include <vector>

#include "kvsieve/kernels/head_tensors.h"
#include "kvsieve/kernels/token_retrieval.h"

namespace kvsieve::bench {

/// The layer's codebooks, codes and buckets, and the memory of the results.
class RetrievalLayer {
 public:
  static constexpr std::int64_t kKvHeads = 8;
  static constexpr std::int64_t kGroup = 4;
  static constexpr std::int64_t kHeadDim = 128;
  static constexpr std::int64_t kCodewords = 4096;
  static constexpr std::int64_t kSinks = 8;
  static constexpr std::int64_t kWindow = 64;
  /// Tokens that became eligible since the buckets were built.
  static constexpr std::int64_t kTail = 128;

  /// @param codewords [Hkv, C, d], copied @param codes [Hkv, tokens], which must outlive this
  RetrievalLayer(const float* codewords, const std::uint16_t* codes, std::int64_t tokens);

  /// The top k of each query head at the last token, as lists without what is resident.
  /// @param queries [Hkv, G, d]
  void retrieve(const float* queries, std::int64_t k, bool with_buckets);
  [[nodiscard]] kernels::Work work(std::int64_t k, bool with_buckets) const;

  [[nodiscard]] kernels::TokenRange range() const { return m_range; }
  [[nodiscard]] const std::int32_t* counts() const { return m_counts.data(); }
  /// [Hkv, tokens]
  [[nodiscard]] const std::int32_t* lists() const { return m_lists.data(); }

 private:
  std::int64_t m_tokens;
  kernels::TokenRange m_range;
  std::vector<kernels::HeadKeys> m_codewords;
  const std::uint16_t* m_codes;
  std::vector<kernels::CodeBuckets> m_buckets;
  std::vector<std::int32_t> m_lists;
  std::vector<std::int32_t> m_counts;
};

}  // namespace kvsieve::bench
