#pragma once
// Adjacent K and V rows of random numbers with lists of some of them, and attention over those in
// double.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/kernels/sparse_decode.h"

namespace kvsieve::kernels::tests {

/// How a segment's list is made.
enum class ListOrder {
  kAscending,
  kShuffled,
  kNone,  ///< no lists: the first rows of each segment
};

/// What a problem is made of.
struct SparseCase {
  std::vector<std::int32_t> counts;  ///< [S] selected rows
  std::int64_t group = 1;
  std::int64_t head_dim = 64;
  traces::DType dtype = traces::DType::kF32;
  ListOrder order = ListOrder::kAscending;
  std::optional<float> softcap;
  bool equal_scores = false;  ///< all keys zero, so that every row weighs the same

  [[nodiscard]] std::string name() const;
};

/// At most 150 cases: each pair of values of two factors occurs.
[[nodiscard]] const std::vector<SparseCase>& sparse_cases();

/// The case in host memory. Rows that must not be read hold NaN.
class SparseProblem {
 public:
  explicit SparseProblem(const SparseCase& item, std::uint32_t seed = 1);

  /// out and log_sums point to this object's, which are set to NaN.
  [[nodiscard]] SparseDecodeArgs args();
  /// The same over part of each list: entries [first, last) of it, as far as there are any.
  [[nodiscard]] SparseDecodeArgs part(std::int32_t first, std::int32_t last);

  SparseCase item;
  std::int64_t segment_rows = 0;
  std::int64_t capacity = 0;
  std::vector<std::byte> rows;      ///< [S, segment_rows, 2, d], aligned to 16 bytes
  std::vector<std::int32_t> lists;  ///< [S, capacity]
  std::vector<float> queries;       ///< [S, G, d]
  std::vector<float> out;           ///< [S, G, d]
  std::vector<float> log_sums;      ///< [S, G]
  std::vector<std::int32_t> part_rows, part_counts;  ///< what part() lists
};

/// Attention and log-sum-exp in double.
struct SparseReference {
  std::vector<double> out;       ///< [S, G, d]
  std::vector<double> log_sums;  ///< [S, G]
};
[[nodiscard]] SparseReference sparse_decode_reference(const SparseDecodeArgs& args);

}  // namespace kvsieve::kernels::tests
