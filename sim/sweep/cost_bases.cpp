#include "sweep/cost_bases.h"

#include <algorithm>

namespace kvsieve::sim {

const CostBasis& CostBases::of(const HardwareProfile& hardware, const ModelDimensions& model) {
  // By content: profiles from files may share an id.
  const auto found = std::find_if(m_known.begin(), m_known.end(), [&](const auto& basis) {
    return basis->hardware.id == hardware.id && basis->model.model().id == model.id &&
           basis->hardware == hardware && basis->model.model() == model;
  });
  if (found != m_known.end()) {
    return **found;
  }
  m_known.push_back(
      std::make_unique<const CostBasis>(CostBasis{hardware, StepModel(hardware, model)}));
  return *m_known.back();
}

}  // namespace kvsieve::sim
