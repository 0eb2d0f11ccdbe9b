#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "exec/cpu/simd.h"
#include "kvsieve/kernels/dense_attention.h"
#include "kvsieve/kernels/partial_attention.h"

namespace kvsieve::kernels {
namespace {

/// Gathers the listed scores into a buffer that lives until the thread's next call.
std::span<float> gather(std::span<const float> scores, std::span<const std::int32_t> tokens) {
  thread_local std::vector<float> buffer;
  buffer.resize(tokens.size());
  std::transform(tokens.begin(), tokens.end(), buffer.begin(),
                 [&](std::int32_t j) { return scores[static_cast<std::size_t>(j)]; });
  return buffer;
}

/// Turns scores into weights that sum to 1; returns their log-sum-exp.
double softmax(std::span<float> scores) {
  const auto n = static_cast<std::int64_t>(scores.size());
  const float largest = simd().max(scores.data(), n);
  const float sum = simd().exp_shift_sum(scores.data(), n, largest);
  simd().scale(scores.data(), n, 1.0F / sum);
  return static_cast<double>(largest) + std::log(static_cast<double>(sum));
}

}  // namespace

void attend_all(MatrixView<float> scores, std::span<const std::int32_t> positions,
                const HeadValues& values, MatrixView<float> out, std::span<double> log_sums) {
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const auto seen = static_cast<std::size_t>(positions[static_cast<std::size_t>(r)]) + 1;
    const std::span<float> row = scores.row(r);
    std::fill(row.begin() + static_cast<std::ptrdiff_t>(seen), row.end(), 0.0F);
    log_sums[static_cast<std::size_t>(r)] = softmax(row.first(seen));
  }
  weighted_values(scores, values, out);
}

void attend_tokens(MatrixView<float> scores, std::span<const std::int32_t> tokens,
                   const HeadValues& values, MatrixView<float> out, std::span<double> log_sums) {
  if (tokens.empty()) {
    for (std::int64_t r = 0; r < scores.rows; ++r) {
      std::fill(out.row(r).begin(), out.row(r).end(), 0.0F);
      log_sums[static_cast<std::size_t>(r)] = -std::numeric_limits<double>::infinity();
    }
    return;
  }
  for (std::int64_t r = 0; r < scores.rows; ++r) {
    const std::span<float> row = scores.row(r);
    const std::span<float> weights = gather(row, tokens);
    log_sums[static_cast<std::size_t>(r)] = softmax(weights);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      row[static_cast<std::size_t>(tokens[i])] = weights[i];
    }
  }
  weighted_values(scores, values, tokens, out);
}

void merge_attention(MatrixView<float> out, std::span<double> log_sums,
                     MatrixView<const float> other, std::span<const double> other_log_sums) {
  for (std::int64_t r = 0; r < out.rows; ++r) {
    double& mine = log_sums[static_cast<std::size_t>(r)];
    const double theirs = other_log_sums[static_cast<std::size_t>(r)];
    const double largest = std::max(mine, theirs);
    if (std::isinf(theirs)) {
      continue;  // an empty part, and two of them leave zeros
    }
    const double total = std::exp(mine - largest) + std::exp(theirs - largest);
    const auto my_share = static_cast<float>(std::exp(mine - largest) / total);
    const auto their_share = static_cast<float>(std::exp(theirs - largest) / total);
    const std::span<float> row = out.row(r);
    for (std::size_t t = 0; t < row.size(); ++t) {
      row[t] = my_share * row[t] + their_share * other.row(r)[t];
    }
    mine = largest + std::log(total);
  }
}

double attention_mass(std::span<const float> scores, double log_sum,
                      std::span<const std::int32_t> tokens) {
  if (tokens.empty()) {
    return 0.0;
  }
  const std::span<float> weights = gather(scores, tokens);
  const auto n = static_cast<std::int64_t>(weights.size());
  return std::min(1.0, static_cast<double>(
                           simd().exp_shift_sum(weights.data(), n, static_cast<float>(log_sum))));
}

}  // namespace kvsieve::kernels
