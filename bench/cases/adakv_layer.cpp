#include "cases/adakv_layer.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "kvsieve/kernels/budget_allocation.h"
#include "kvsieve/kernels/cache_compaction.h"
#include "kvsieve/kernels/counter_random.h"
#include "kvsieve/kernels/dense_attention.h"

namespace kvsieve::bench {
namespace {

using traces::DType;

constexpr std::int64_t kBudgetDivisor = 5;  // 20 %

void store(float x, DType dtype, std::byte* out) {
  if (dtype == DType::kF32) {
    std::memcpy(out, &x, sizeof x);
    return;
  }
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto rounded = static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
  std::memcpy(out, &rounded, sizeof rounded);
}

std::vector<std::byte> random_rows(std::int64_t rows, DType dtype, std::uint64_t seed) {
  const std::size_t size = traces::size_of(dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows * kHeadDim) * size);
  kernels::CounterRandom random(seed);
  for (std::int64_t row = 0; row < rows; ++row) {
    const double scale = 0.5 + 2.0 * random.uniform() * random.uniform();
    for (std::int64_t t = 0; t < kHeadDim; ++t) {
      // The sum of two uniform numbers is near enough to a normal one here.
      const double x = scale * (random.uniform() + random.uniform() - 1.0) * 2.4;
      store(static_cast<float>(x), dtype,
            bytes.data() + static_cast<std::size_t>(row * kHeadDim + t) * size);
    }
  }
  return bytes;
}

}  // namespace

AdaKvLayer::AdaKvLayer(std::int64_t tokens, DType dtype)
    : m_tokens(tokens),
      m_dtype(dtype),
      m_queries(random_rows(kQueryHeads * kWindow, dtype, 1)),
      m_keys(random_rows(kKvHeads * tokens, dtype, 2)),
      m_values(random_rows(kKvHeads * tokens, dtype, 3)),
      m_scores(static_cast<std::size_t>(kKvHeads * (tokens - kWindow))),
      m_lengths(kKvHeads) {
  // Budgets are blended with largest remainders, so that their total is known.
  const std::int64_t rows = kKvHeads * (tokens / kBudgetDivisor);
  m_kept_keys.resize(static_cast<std::size_t>(rows * kHeadDim * element_bytes()));
  m_kept_values.resize(m_kept_keys.size());
  m_problem.queries = m_queries.data();
  m_problem.keys = m_keys.data();
  m_problem.dtype = dtype;
  m_problem.q_heads = kQueryHeads;
  m_problem.kv_heads = kKvHeads;
  m_problem.head_dim = kHeadDim;
  m_problem.tokens = tokens;
  m_problem.window = kWindow;
  m_problem.head_stride = tokens * kHeadDim;
  m_problem.token_stride = kHeadDim;
  m_problem.attention.scale = 1.0 / std::sqrt(static_cast<double>(kHeadDim));
}

kernels::MatrixView<float> AdaKvLayer::scores() {
  return {m_scores.data(), kKvHeads, m_tokens - kWindow};
}

void AdaKvLayer::score() {
  kernels::window_scores(m_problem, scores());
}

void AdaKvLayer::allocate() {
  m_budgets = kernels::allocate_budgets(scores(), m_tokens / kBudgetDivisor - kWindow, {});
}

void AdaKvLayer::select() {
  kernels::select_layer_tokens(scores(), m_budgets, kWindow, m_kept);
}

void AdaKvLayer::compact() {
  const kernels::DenseCacheView dense{
      m_keys.data(),         m_values.data(),       m_dtype, kHeadDim, kKvHeads, m_tokens,
      m_problem.head_stride, m_problem.token_stride};
  kernels::RaggedCacheView cache;
  cache.keys = m_kept_keys.data();
  cache.values = m_kept_values.data();
  cache.dtype = m_dtype;
  cache.head_dim = kHeadDim;
  cache.segments = kKvHeads;
  cache.offsets = m_kept.offsets.data();
  cache.lengths = m_lengths.data();
  kernels::compact_cache(
      dense, {m_kept.tokens.data(), m_kept.offsets.data(), m_kept.offsets.back()}, cache);
}

void AdaKvLayer::compress() {
  score();
  allocate();
  select();
  compact();
}

std::int64_t AdaKvLayer::element_bytes() const {
  return static_cast<std::int64_t>(traces::size_of(m_dtype));
}

kernels::Work AdaKvLayer::score_work() const {
  // One product; its exponentials are written and read again.
  const std::int64_t rows = kQueryHeads / kKvHeads * kWindow;
  kernels::Work work;
  for (std::int64_t head = 0; head < kKvHeads; ++head) {
    work += kernels::attention_scores_work(rows, m_tokens, kHeadDim, element_bytes());
    work.bytes_read += rows * m_tokens * 4;
  }
  return work;
}

kernels::Work AdaKvLayer::allocate_work() const {
  return kernels::budget_allocation_work(kKvHeads, m_tokens - kWindow);
}

kernels::Work AdaKvLayer::select_work() const {
  const std::int64_t kept = m_tokens / kBudgetDivisor - kWindow;
  return kernels::token_selection_work(kKvHeads * (m_tokens - kWindow), kKvHeads * kept);
}

kernels::Work AdaKvLayer::compact_work() const {
  return kernels::compact_cache_work(kKvHeads * (m_tokens / kBudgetDivisor), kKvHeads, kHeadDim,
                                     element_bytes());
}

}  // namespace kvsieve::bench
