#include "replay/step_selector.h"

namespace kvsieve::sim {
namespace {

/// The K best by the scorer's scores.
class TopSelector final : public StepSelector {
 public:
  void select(const SelectorQuery& query, std::vector<std::int32_t>& chosen) const override {
    kernels::select_top(query.scores, query.eligible, query.top, chosen);
  }
};

}  // namespace

std::unique_ptr<StepSelector> make_step_selector(const RetrievalOptions& /*options*/) {
  return std::make_unique<TopSelector>();
}

}  // namespace kvsieve::sim
