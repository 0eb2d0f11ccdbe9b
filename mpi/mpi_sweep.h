#pragma once
// A sweep over the ranks of an MPI job.

#include <boost/mpi/communicator.hpp>
#include <functional>
#include <string>
#include <vector>

#include "kvsieve/sim/sweep_runner.h"

namespace kvsieve::cli {

/// Rank 0: hands out chunks of what the store lacks, stores what comes back, one transaction a
/// chunk. With one rank it evaluates by itself. A stand-in for sim::run_sweep.
[[nodiscard]] sim::SweepState spread_sweep(const boost::mpi::communicator& world,
                                           std::span<const sim::SweepPoint> points,
                                           const nlohmann::ordered_json& context,
                                           sim::SweepEvaluator& evaluator, sim::SweepStore& store,
                                           const sim::SweepProgress& progress,
                                           const std::function<bool()>& stop);

/// Rank 0, last: lets the other ranks end.
void dismiss_ranks(const boost::mpi::communicator& world);

/// The other ranks: evaluate chunks until they are dismissed.
void serve_points(const boost::mpi::communicator& world, const std::vector<std::string>& words);

}  // namespace kvsieve::cli
