#include "attention/sparse_decode_cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "attention/decode_shares_cpu.h"
#include "exec/cpu/parallel.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::kernels {
namespace {

// Rows that a thread merges at a time: a layer's 32 query heads are not worth a second thread.
constexpr std::int64_t kMergeRows = 64;

class ListedRows final : public DecodeRows {
 public:
  explicit ListedRows(const SparseDecodeArgs& args)
      : m_args(args),
        m_key_bytes(static_cast<std::size_t>(args.cache.head_dim) *
                    traces::size_of(args.cache.dtype)) {}

  void locate(std::int64_t segment, std::int64_t first, std::int64_t count, const void** keys,
              const void** values) const override {
    const std::byte* base =
        static_cast<const std::byte*>(m_args.cache.rows) +
        static_cast<std::size_t>(segment * m_args.cache.segment_rows) * 2 * m_key_bytes;
    const std::int32_t* list =
        m_args.rows == nullptr ? nullptr : m_args.rows + segment * m_args.capacity + first;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = list == nullptr ? first + i : list[i];
      const std::byte* key = base + static_cast<std::size_t>(row) * 2 * m_key_bytes;
      keys[i] = key;
      values[i] = key + m_key_bytes;
    }
  }

 private:
  const SparseDecodeArgs& m_args;
  std::size_t m_key_bytes;
};

void check_counts(const SparseDecodeArgs& args) {
  const bool listed = args.rows != nullptr;
  const std::int64_t most = listed ? args.capacity : args.cache.segment_rows;
  for (std::int64_t s = 0; s < args.segments; ++s) {
    if (args.counts[s] < 0 || args.counts[s] > most) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("sparse_decode: {} rows in segment {}, {} {}", args.counts[s], s,
                              listed ? "the lists have room for" : "a segment has", most));
    }
  }
}

}  // namespace

void sparse_decode(const SparseDecodeArgs& args, const SimdOps& ops) {
  const DecodeStep step{.dtype = args.cache.dtype,
                        .head_dim = args.cache.head_dim,
                        .segments = args.segments,
                        .lengths = args.counts,
                        .queries = args.queries,
                        .query_dtype = traces::DType::kF32,
                        .group = args.group,
                        .scale = args.scale,
                        .softcap = args.softcap,
                        .out = args.out,
                        .log_sums = args.log_sums,
                        .shares = 0,
                        .adjacent_values = true};
  check_decode_step("sparse_decode", step);
  check_counts(args);
  decode_in_shares(step, ListedRows(args), ops);
}

void sparse_decode(const SparseDecodeArgs& args) {
  sparse_decode(args, simd());
}

void merge_partial(float* out, float* log_sums, const float* other, const float* other_log_sums,
                   std::int64_t n, std::int64_t d) {
  constexpr float kEmpty = -std::numeric_limits<float>::infinity();
  parallel_blocks(n, kMergeRows, [&](std::int64_t first, std::int64_t last) {
    const SimdOps& ops = simd();
    for (std::int64_t r = first; r < last; ++r) {
      const float theirs = other_log_sums[r];
      if (theirs == kEmpty) {
        continue;
      }
      const float mine = log_sums[r];
      // From the larger one, so that no exponential overflows; exp(-inf) is an empty part's 0.
      const double largest = std::max(mine, theirs);
      const double my_weight = std::exp(static_cast<double>(mine) - largest);
      const double their_weight = std::exp(static_cast<double>(theirs) - largest);
      const double total = my_weight + their_weight;
      ops.scale(out + r * d, d, static_cast<float>(my_weight / total));
      ops.axpy(static_cast<float>(their_weight / total), other + r * d, out + r * d, d);
      log_sums[r] = static_cast<float>(largest + std::log(total));
    }
  });
}

}  // namespace kvsieve::kernels
