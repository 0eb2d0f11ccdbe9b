#pragma once
// The answer to "what does this run keep, lose and cost" in five numbers.

#include <QString>
#include <vector>

#include "core/run.h"

namespace kvsieve::gui {

struct HeadlineFigure {
  QString name;
  QString value;   ///< with its unit
  QString detail;  ///< what it is compared with, its error band, its exact number
  QString origin;  ///< captured, modelled or measured
};

/// Five figures, best known first: what is kept, what is lost, against uniform (or recall), what
/// crosses PCIe, and the modelled step. Those that a run does not have are left out.
[[nodiscard]] std::vector<HeadlineFigure> headline(const Run& run);

}  // namespace kvsieve::gui
