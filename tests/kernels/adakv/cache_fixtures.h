#pragma once
// Dense and ragged caches of random bytes, and what naive loops make of them. Rows are copied bit
// for bit, so random bits (NaN among them) are the numbers.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kvsieve/kernels/cache_compaction.h"
#include "kvsieve/kernels/page_table.h"

namespace kvsieve::kernels::tests {

using Bytes = std::vector<std::byte>;

[[nodiscard]] Bytes random_bytes(std::int64_t count, std::uint32_t seed);

/// The live rows of every segment, [S] of rows back to back: what a cache means, wherever it lies.
struct CacheContents {
  std::vector<Bytes> keys;
  std::vector<Bytes> values;
  bool operator==(const CacheContents&) const = default;
};

/// Which tokens the segments keep.
enum class Kept {
  kScattered,   ///< a random subset of every second segment, and the last tokens (the window)
  kWindow,      ///< the last tokens only
  kAll,         ///< every token
  kFirstEmpty,  ///< nothing in the first, the last and every third segment
  kOneLong,     ///< everything in one segment, one token in the others
};
inline constexpr Kept kKept[] = {Kept::kScattered, Kept::kWindow, Kept::kAll, Kept::kFirstEmpty,
                                 Kept::kOneLong};

/// How the dense cache lies in memory.
enum class DenseOrder {
  kSegmentMajor,  ///< [S, n, d]
  kTokenMajor,    ///< [n, S, d]
  kPadded,        ///< [S, n + 1, d + 16], of which d and n count
};
inline constexpr DenseOrder kDenseOrders[] = {DenseOrder::kSegmentMajor, DenseOrder::kTokenMajor,
                                              DenseOrder::kPadded};

/// One layer to compact and a number of tokens to append.
struct CompactionCase {
  std::int64_t segments = 1;
  std::int64_t head_dim = 64;
  traces::DType dtype = traces::DType::kF16;
  std::int64_t tokens = 64;
  Kept kept = Kept::kScattered;
  DenseOrder order = DenseOrder::kSegmentMajor;
  std::int64_t page_rows = 0;  ///< 0: contiguous
  std::int64_t appended = 1;

  [[nodiscard]] std::int64_t row_bytes() const {
    return head_dim * static_cast<std::int64_t>(traces::size_of(dtype));
  }
  /// E.g. "S3 d80 BF16 n257 scattered token-major pages 16 t3".
  [[nodiscard]] std::string name() const;
};

/// At most 150 cases over the given head dimensions that cover each pair of values of two factors.
[[nodiscard]] std::vector<CompactionCase> compaction_cases(
    const std::vector<std::int64_t>& head_dims, const std::vector<std::int64_t>& token_counts);

/// The last tokens of the window, which every selection keeps.
inline constexpr std::int64_t kWindowTokens = 4;

/// Everything that the operations take, for a case of the table.
struct CompactionProblem {
  CompactionCase item;
  Bytes keys;
  Bytes values;
  std::vector<std::int32_t> kept_tokens;
  std::vector<std::int64_t> kept_offsets;
  Bytes new_keys;    ///< [S, t, d]
  Bytes new_values;  ///< [S, t, d]

  explicit CompactionProblem(const CompactionCase& compaction_case, std::uint32_t seed = 1);
  [[nodiscard]] DenseCacheView dense() const;
  [[nodiscard]] KeptTokensView kept() const;
  [[nodiscard]] NewTokens new_tokens() const;
  /// Tokens kept in each segment.
  [[nodiscard]] std::vector<std::int64_t> budgets() const;

  /// What compaction leaves, by naive loops.
  [[nodiscard]] CacheContents compacted() const;
  /// `contents` with the new tokens of this problem behind each segment.
  [[nodiscard]] CacheContents appended_to(CacheContents contents) const;
};

/// A ragged cache in host memory, contiguous or in pages. All bytes that no operation wrote are
/// kUntouched.
class HostCache {
 public:
  static constexpr std::byte kUntouched{0xa5};

  /// Empty segments with room for rooms[s] rows. Pages are dealt out in turns, so that those of a
  /// segment do not follow each other.
  HostCache(const CompactionCase& item, const std::vector<std::int64_t>& rooms);

  [[nodiscard]] RaggedCacheView view();
  [[nodiscard]] CacheContents contents() const;

  Bytes keys;
  Bytes values;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> lengths;
  std::vector<std::int32_t> pages;

 private:
  CompactionCase m_item;
  std::int64_t m_pages_per_segment = 0;
};

/// Each number plus `more`.
[[nodiscard]] std::vector<std::int64_t> plus(std::vector<std::int64_t> numbers, std::int64_t more);

}  // namespace kvsieve::kernels::tests
