#pragma once
// Measured transfers over a host link, as a CSV file: what a profile's link is fitted to.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kvsieve/sim/transfer_time.h"

namespace kvsieve::sim {

/// Pieces of equal size, back to back: the median of repeated transfers.
struct MeasuredTransfer {
  TransferPath path = TransferPath::kDma;
  Direction direction = Direction::kToGpu;
  std::int64_t piece_bytes = 0;
  std::int64_t pieces = 0;
  double us = 0.0;  ///< of all of them

  bool operator==(const MeasuredTransfer&) const = default;
};

struct LinkMeasurements {
  std::vector<MeasuredTransfer> transfers;
  double latency_us = 0.0;  ///< of one small copy that the host waits for; 0: not measured
  double both_gbps = 0.0;   ///< large copies both ways at once, together; 0: not measured

  bool operator==(const LinkMeasurements&) const = default;
};

/// As CSV with the columns measure, path, direction, piece_bytes, pieces, us and gbps: rows of the
/// measures transfer, latency (us alone) and both-directions (gbps alone).
[[nodiscard]] std::string link_measurements_csv(const LinkMeasurements& measurements);

/// Reads such a file, with columns in any order and others ignored. Throws Error(kBadInput), one
/// line "path:line: ...", for columns that are missing, values out of range, and a file without
/// transfers.
[[nodiscard]] LinkMeasurements read_link_measurements(const std::filesystem::path& path);

}  // namespace kvsieve::sim
