#pragma once
// A ragged cache of random numbers, contiguous and paged, and attention over it in double.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvsieve/kernels/ragged_decode.h"

namespace kvsieve::kernels::tests {

/// What a decode problem is made of.
struct RaggedCase {
  std::vector<std::int32_t> lengths;  ///< [S]
  std::int64_t group = 1;
  std::int64_t head_dim = 64;
  traces::DType dtype = traces::DType::kF32;
  bool queries_as_cache = false;  ///< queries in the cache's dtype, else F32
  std::optional<float> softcap;
  std::int64_t page_rows = 16;
  bool equal_scores = false;  ///< all keys zero, so that every token weighs the same

  [[nodiscard]] std::string name() const;
};

/// At most 150 cases: each pair of values of two factors occurs.
[[nodiscard]] const std::vector<RaggedCase>& ragged_cases();

/// The case's cache in host memory. Rows that must not be read hold NaN.
class RaggedProblem {
 public:
  explicit RaggedProblem(const RaggedCase& item, std::uint32_t seed = 1);

  /// Arguments over the contiguous or the paged copy; out and log_sums point to this object's.
  [[nodiscard]] RaggedDecodeArgs args(bool paged = false);

  RaggedCase item;
  std::vector<std::int64_t> offsets;  ///< [S + 1]
  std::vector<std::int32_t> pages;    ///< [S, pages_per_segment]
  std::int64_t pages_per_segment = 0;
  std::vector<std::byte> keys, values, paged_keys, paged_values, queries;
  std::vector<float> out;       ///< [S, G, d]
  std::vector<float> log_sums;  ///< [S, G]
};

/// Attention and log-sum-exp in double.
struct RaggedReference {
  std::vector<double> out;       ///< [S, G, d]
  std::vector<double> log_sums;  ///< [S, G]
};
[[nodiscard]] RaggedReference ragged_decode_reference(const RaggedDecodeArgs& args);

}  // namespace kvsieve::kernels::tests
