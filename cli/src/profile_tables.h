#pragma once
// What `kvsieve profile` shows.

#include <optional>
#include <string>

#include "kvsieve/profile/profile_report.h"
#include "kvsieve/sim/link_fit.h"

namespace kvsieve::cli {

/// Lanes, operations and, with a pairing, the model's errors and what has no partner; in the
/// formats csv and md one table alone: the pairs' stages, or else the operations.
[[nodiscard]] std::string describe(const profile::MeasuredTimeline& timeline,
                                   const std::optional<profile::Pairing>& pairing,
                                   const std::string& format);

/// A row a segment of the fitted paths.
[[nodiscard]] std::string describe(const sim::LinkFit& fit, const std::string& format);

}  // namespace kvsieve::cli
