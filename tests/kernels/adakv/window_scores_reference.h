#pragma once
// Window scores step by step, in double precision.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention/dense_attention_reference.h"
#include "kvsieve/kernels/window_scores.h"

namespace kvsieve::kernels::tests {

/// How many of the queries see each of the first n keys.
[[nodiscard]] std::vector<std::int64_t> reference_viewers(std::span<const std::int32_t> positions,
                                                          std::int64_t n,
                                                          const traces::AttentionSpec& attention);

/// Mean attention of member g's queries that see key j, [G, n]; softmax over the first n keys.
[[nodiscard]] Matrix reference_column_means(const Matrix& queries,
                                            std::span<const std::int32_t> positions,
                                            const Matrix& keys, std::int64_t n,
                                            const traces::AttentionSpec& attention);

/// Mean or maximum over the rows.
[[nodiscard]] std::vector<double> reference_reduce(const Matrix& scores, GroupReduce reduce);

/// Pooling with PyTorch's padding: -inf for the maximum, zeros that count for the average.
[[nodiscard]] std::vector<double> reference_pool(const std::vector<double>& scores,
                                                 const Pooling& pooling);

}  // namespace kvsieve::kernels::tests
