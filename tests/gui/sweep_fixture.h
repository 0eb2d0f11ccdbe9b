#pragma once
// Sweep stores for tests of the viewer.

#include <QString>
#include <cstdint>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_store.h"

namespace kvsieve::tests {

/// Of a sweep over methods, budgets and batches, with this many points.
[[nodiscard]] sim::SweepIdentity sweep_identity(std::int64_t points,
                                                const std::string& version = "0.1.0");

/// Point `number` of that sweep: method and budget vary, the trace does not; the throughput rises
/// and the loss falls along two curves, so that some points are on a front. Every 50th point from 7
/// on has failed.
[[nodiscard]] sim::SweepRow sweep_row(std::int64_t number, const std::string& version = "0.1.0");
[[nodiscard]] bool fails(std::int64_t number);

/// A store with points [begin, end).
void write_store(const QString& path, std::int64_t begin, std::int64_t end, std::int64_t points,
                 const std::string& version = "0.1.0");

}  // namespace kvsieve::tests
