#include "kvsieve/bench/retrieval_layer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kvsieve::bench {

RetrievalLayer::RetrievalLayer(const float* codewords, const std::uint16_t* codes,
                               std::int64_t tokens)
    : m_tokens(tokens),
      m_range(kernels::eligible_tokens(tokens - 1, kSinks, kWindow)),
      m_codewords(kKvHeads),
      m_codes(codes),
      m_buckets(kKvHeads),
      m_lists(static_cast<std::size_t>(kKvHeads * tokens)),
      m_counts(kKvHeads) {
  const kernels::TokenRange sorted{m_range.begin, std::max(m_range.begin, m_range.end - kTail)};
  for (std::int64_t h = 0; h < kKvHeads; ++h) {
    const auto slot = static_cast<std::size_t>(h);
    m_codewords[slot].load(kernels::HeadSlice({reinterpret_cast<const std::byte*>(codewords),
                                               traces::DType::kF32,
                                               {kKvHeads, kCodewords, kHeadDim}},
                                              h),
                           nullptr);
    kernels::build_buckets({codes + h * tokens, static_cast<std::size_t>(tokens)}, sorted,
                           kCodewords, m_buckets[slot]);
  }
}

void RetrievalLayer::retrieve(const float* queries, std::int64_t k, bool with_buckets) {
  kernels::TokenRetrievalArgs args;
  args.queries = queries;
  args.codewords = m_codewords;
  args.attention.scale = 1.0 / std::sqrt(static_cast<double>(kHeadDim));
  args.segments = kKvHeads;
  args.group = kGroup;
  args.codes = m_codes;
  args.codes_stride = m_tokens;
  if (with_buckets) {
    args.buckets = m_buckets;
  }
  args.range = m_range;
  args.k = k;
  args.lists = m_lists.data();
  args.capacity = m_tokens;
  args.counts = m_counts.data();
  kernels::retrieve_tokens(args);
}

kernels::Work RetrievalLayer::work(std::int64_t k, bool with_buckets) const {
  const std::int64_t read_one_by_one =
      with_buckets ? m_range.end - m_buckets.front().range.end : m_range.size();
  return kernels::token_retrieval_work(
      kKvHeads, kKvHeads, kGroup, kCodewords, kHeadDim, k, read_one_by_one,
      std::accumulate(m_counts.begin(), m_counts.end(), std::int64_t{0}));
}

}  // namespace kvsieve::bench
