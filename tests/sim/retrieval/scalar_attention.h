#pragma once
// Attention from its definition: scalar loops in double precision, full sorts, sets and lists.

#include <cstdint>
#include <vector>

#include "kvsieve/traces/trace.h"

namespace kvsieve::sim::tests {

using Vector = std::vector<double>;
using Tokens = std::vector<std::int32_t>;

/// Rows of one head of a tensor in double precision, [rows][cols].
[[nodiscard]] std::vector<Vector> rows_of(const traces::TensorView& tensor, std::int64_t head);

/// x rotated by any amount with the layer's own frequencies.
[[nodiscard]] Vector rotated(Vector x, double position, const traces::RopeSpec& spec);

/// scale * q.k with the softcap, if any.
[[nodiscard]] double score_of(const Vector& q, const Vector& k,
                              const traces::AttentionSpec& attention);

/// Tokens [begin, end), best first; of equal ones the later.
[[nodiscard]] Tokens ranked(const Vector& scores, std::int64_t begin, std::int64_t end);
/// The k best of them, ascending.
[[nodiscard]] Tokens top_of(const Vector& scores, std::int64_t begin, std::int64_t end,
                            std::int64_t k);
/// How many tokens are in both.
[[nodiscard]] double shared(const Tokens& a, const Tokens& b);

/// softmax(scores) over the listed tokens times the values.
[[nodiscard]] Vector attend(const Vector& scores, const Tokens& tokens,
                            const std::vector<Vector>& values);
/// The share of softmax(scores) over all tokens that the listed ones have.
[[nodiscard]] double mass_of(const Vector& scores, const Tokens& tokens);

/// x W, of W [d][D].
[[nodiscard]] Vector projected(const Vector& x, const std::vector<Vector>& w);
[[nodiscard]] Vector minus(Vector a, const Vector& b);
[[nodiscard]] double norm(const Vector& x);
[[nodiscard]] double abs_sum(const Vector& x);

}  // namespace kvsieve::sim::tests
