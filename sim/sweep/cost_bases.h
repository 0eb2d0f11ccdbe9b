#pragma once
// One cost model for all points of one model on one profile.

#include <memory>
#include <vector>

#include "kvsieve/sim/step_cost.h"

namespace kvsieve::sim {

/// A model on a profile.
struct CostBasis {
  HardwareProfile hardware;
  StepModel model;
};

/// Cost models by what they are of. Not for several threads at once.
class CostBases {
 public:
  /// The basis of this model on this profile; it stays where it is. Throws Error(kUsage) for latent
  /// attention.
  [[nodiscard]] const CostBasis& of(const HardwareProfile& hardware, const ModelDimensions& model);

 private:
  std::vector<std::unique_ptr<const CostBasis>> m_known;
};

}  // namespace kvsieve::sim
