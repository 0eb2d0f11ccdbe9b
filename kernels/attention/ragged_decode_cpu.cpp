#include "attention/ragged_decode_cpu.h"

#include <cstddef>

#include "attention/decode_shares_cpu.h"

namespace kvsieve::kernels {
namespace {

class CacheRows final : public DecodeRows {
 public:
  explicit CacheRows(const RaggedCacheView& cache)
      : m_cache(cache),
        m_row_bytes(static_cast<std::size_t>(cache.head_dim) * traces::size_of(cache.dtype)) {}

  void locate(std::int64_t segment, std::int64_t first, std::int64_t count, const void** keys,
              const void** values) const override {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::size_t offset =
          static_cast<std::size_t>(row_of(m_cache, segment, first + i)) * m_row_bytes;
      keys[i] = static_cast<const std::byte*>(m_cache.keys) + offset;
      values[i] = static_cast<const std::byte*>(m_cache.values) + offset;
    }
  }

 private:
  const RaggedCacheView& m_cache;
  std::size_t m_row_bytes;
};

}  // namespace

std::vector<DecodePart> decode_parts(std::span<const std::int32_t> lengths, std::int64_t shares) {
  std::vector<std::int64_t> starts{0};
  for (const std::int32_t length : lengths) {
    starts.push_back(starts.back() + length);
  }
  const std::int64_t share_tokens = decode_share_tokens(starts.back(), shares);
  std::vector<DecodePart> parts;
  for (std::int64_t share = 0; share * share_tokens < starts.back(); ++share) {
    DecodePartCursor cursor(starts.data(), static_cast<std::int64_t>(lengths.size()), share_tokens,
                            share);
    DecodePart part;
    while (cursor.next(part)) {
      parts.push_back(part);
    }
  }
  return parts;
}

void ragged_decode(const RaggedDecodeArgs& args, const SimdOps& ops) {
  const RaggedCacheView& cache = args.cache;
  const DecodeStep step{.dtype = cache.dtype,
                        .head_dim = cache.head_dim,
                        .segments = cache.segments,
                        .lengths = cache.lengths,
                        .queries = args.queries,
                        .query_dtype = args.query_dtype,
                        .group = args.group,
                        .scale = args.scale,
                        .softcap = args.softcap,
                        .out = args.out,
                        .log_sums = args.log_sums,
                        .shares = args.shares};
  check_decode_step("ragged_decode", step);
  decode_in_shares(step, CacheRows(cache), ops);
}

void ragged_decode(const RaggedDecodeArgs& args) {
  ragged_decode(args, simd());
}

}  // namespace kvsieve::kernels
