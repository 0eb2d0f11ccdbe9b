#include "replay/adaptive_tops.h"

#include "kvsieve/kernels/budget_allocation.h"
#include "replay/approximate_attention.h"

namespace kvsieve::sim {

AdaptiveTops::AdaptiveTops(std::span<const kernels::TokenRange> eligible, std::int64_t q_heads)
    : m_q_heads(q_heads) {
  for (const kernels::TokenRange& range : eligible) {
    m_steps.push_back(
        {range, std::vector<float>(static_cast<std::size_t>(q_heads * range.size()))});
  }
}

void AdaptiveTops::set(std::int64_t step, std::int64_t q_head, std::span<const float> scores,
                       std::span<const float> exact) {
  Step& record = m_steps[static_cast<std::size_t>(step)];
  const ApproximateAttention attention(record.eligible, scores, exact);
  float* out = record.attention.data() + q_head * record.eligible.size();
  for (std::int64_t j = record.eligible.begin; j < record.eligible.end; ++j) {
    *out++ = static_cast<float>(attention.share(scores[static_cast<std::size_t>(j)]));
  }
}

std::vector<std::int64_t> AdaptiveTops::tops(std::span<const std::int64_t> uniform,
                                             const kernels::Decimal& alpha) const {
  std::vector<std::int64_t> tops;
  for (std::size_t s = 0; s < m_steps.size(); ++s) {
    const std::vector<std::int64_t> of_step = kernels::allocate_budgets(
        {m_steps[s].attention.data(), m_q_heads, m_steps[s].eligible.size()}, uniform[s],
        {.alpha = alpha});
    tops.insert(tops.end(), of_step.begin(), of_step.end());
  }
  return tops;
}

}  // namespace kvsieve::sim
