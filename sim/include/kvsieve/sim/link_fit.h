#pragma once
// Fitting a host link to measured transfers.

#include <string>
#include <vector>

#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/link_measurements.h"
#include "kvsieve/sim/validation.h"

namespace kvsieve::sim {

/// What became of one way over the link.
struct LinkPathFit {
  TransferPath path = TransferPath::kDma;
  Direction direction = Direction::kToGpu;
  std::vector<TransferSegment> segments;
  ErrorFigures figures;  ///< of fitted / measured - 1 over its rows
};

struct LinkFit {
  LinkSpec link;
  std::vector<LinkPathFit> paths;  ///< that were measured; the others keep what they had
  std::vector<std::string> notes;  ///< a line each
};

/// Replaces the paths of `link` that have at least 3 sizes of pieces among the measurements, by
/// piece_us + bytes / gbps with the smallest sum of relative errors. A path is cut into up to four
/// segments, where that makes the errors at least a third smaller and 3 % of them are left: the
/// knee of batched copies, say. Latency and both directions together are taken as they were
/// measured. The numbers are marked as verified by `source`. Notes name what keeps its number and
/// what is faster than the link's data sheet.
/// Throws Error(kBadInput) if nothing could be fitted.
[[nodiscard]] LinkFit fit_link(LinkSpec link, const LinkMeasurements& measurements,
                               const std::string& source);

}  // namespace kvsieve::sim
