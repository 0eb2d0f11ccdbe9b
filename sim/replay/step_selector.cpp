#include "replay/step_selector.h"

#include <algorithm>

#include "replay/approximate_attention.h"

namespace kvsieve::sim {
namespace {

/// The K best by the scorer's scores.
class TopSelector final : public StepSelector {
 public:
  void select(const SelectorQuery& query, std::vector<std::int32_t>& chosen) const override {
    kernels::select_top(query.scores, query.eligible, query.top, chosen);
  }
};

/// The fewest of the K best that bring sinks, window and themselves to a share of the attention.
class MassSelector final : public StepSelector {
 public:
  explicit MassSelector(double mass) : m_mass(mass) {}

  void select(const SelectorQuery& query, std::vector<std::int32_t>& chosen) const override {
    kernels::select_top(query.scores, query.eligible, query.top, chosen);
    const auto score = [&](std::int32_t token) {
      return query.scores[static_cast<std::size_t>(token)];
    };
    std::sort(chosen.begin(), chosen.end(), [&](std::int32_t a, std::int32_t b) {
      return score(a) != score(b) ? score(a) > score(b) : a > b;
    });
    const ApproximateAttention attention(query.eligible, query.scores, query.exact);
    double held = attention.resident;
    std::size_t count = 0;
    while (count < chosen.size() && held < m_mass) {
      held += attention.share(score(chosen[count]));
      ++count;
    }
    chosen.resize(count);
    std::sort(chosen.begin(), chosen.end());
  }

 private:
  double m_mass;
};

}  // namespace

std::unique_ptr<StepSelector> make_step_selector(const RetrievalOptions& options) {
  if (options.mass) {
    return std::make_unique<MassSelector>(options.mass->value());
  }
  return std::make_unique<TopSelector>();
}

}  // namespace kvsieve::sim
