#include <array>

#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/score_lookup.h"

namespace kvsieve::kernels {
namespace {

/// Sum of term(j), j < n, in 8 partial sums of double precision combined in one order.
template <class Term>
double sum_terms(std::size_t n, Term term) {
  std::array<double, 8> lanes{};
  std::size_t j = 0;
  for (; j + lanes.size() <= n; j += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      lanes[lane] += term(j + lane);
    }
  }
  double sum = 0.0;
  for (const double lane : lanes) {
    sum += lane;
  }
  for (; j < n; ++j) {
    sum += term(j);
  }
  return sum;
}

}  // namespace

void score_table(MatrixView<const float> queries, const HeadKeys& codewords,
                 const traces::AttentionSpec& attention, MatrixView<float> table) {
  attention_scores(queries, codewords, 0, attention, table);
}

void lookup_scores(std::span<const float> table, std::span<const std::uint16_t> codes,
                   std::span<float> scores) {
  simd().look_up(table.data(), codes.data(), static_cast<std::int64_t>(codes.size()),
                 scores.data());
}

ScoreErrorSums score_error(std::span<const float> exact, std::span<const float> approximate) {
  const std::size_t n = exact.size();
  if (n == 0) {
    return {};
  }
  const double mean = sum_terms(n, [&](std::size_t j) { return static_cast<double>(exact[j]); }) /
                      static_cast<double>(n);
  ScoreErrorSums sums;
  sums.tokens = static_cast<std::int64_t>(n);
  sums.squared_error = sum_terms(n, [&](std::size_t j) {
    const double error = static_cast<double>(exact[j]) - static_cast<double>(approximate[j]);
    return error * error;
  });
  sums.variation = sum_terms(n, [&](std::size_t j) {
    const double offset = static_cast<double>(exact[j]) - mean;
    return offset * offset;
  });
  return sums;
}

}  // namespace kvsieve::kernels
