#pragma once
// What a retrieval run moves over the host link: by step, layer and head, by placement, and how
// fast the link moves pieces of that size. Counted by the ledger, timed by the cost model.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/head_groups.h"
#include "core/point_chart.h"
#include "core/run.h"
#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/chart_table.h"
#include "kvsieve/sim/hardware_profile.h"
#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/sim/transfer_time.h"

namespace kvsieve::gui {

/// The placement whose bytes the run's summary shows. Throws Error(kBadInput) if it is unknown.
[[nodiscard]] sim::Placement placement_of(const sim::RunView& run);
/// Those that the run has figures of: a hot buffer's only with one.
[[nodiscard]] std::vector<sim::Placement> placements_of(const sim::RunView& run);

/// A decode step's traffic of the run, a layer, a head or a step, as its document says.
[[nodiscard]] std::optional<sim::PcieTraffic> traffic_of(const sim::Node& node,
                                                         sim::Placement placement);

/// By decode step: the run's own, or the sum of the heads' by the ledger if there are any. Pieces
/// of heads are the copies of their own rows, without the messages that a layer's heads share.
[[nodiscard]] std::vector<std::optional<sim::PcieTraffic>> traffic_by_step(
    const sim::RunView& run, sim::Placement placement, std::span<const HeadId> heads);

/// Bytes by direction, and pieces.
[[nodiscard]] sim::LineChart bytes_by_step(const sim::RunView& run, sim::Placement placement,
                                           std::span<const HeadId> heads);
[[nodiscard]] sim::LineChart pieces_by_step(const sim::RunView& run, sim::Placement placement,
                                            std::span<const HeadId> heads);
[[nodiscard]] sim::BarChart bytes_by_group(const sim::RunView& run, sim::Placement placement,
                                           std::span<const HeadId> selected);
[[nodiscard]] sim::BarChart pieces_by_group(const sim::RunView& run, sim::Placement placement,
                                            std::span<const HeadId> selected);

/// A placement's step over all replayed layers, one layer after another.
struct PlacementCost {
  sim::Placement placement{};
  sim::PcieTraffic traffic;
  double to_host_us = 0.0;  ///< messages, each waited for
  double to_gpu_us = 0.0;   ///< the host's result, or the rows
  double gpu_pieces = 0.0;  ///< of the transfers to the GPU
  /// How rows reach the GPU; nothing where a message brings the host's result.
  std::optional<sim::TransferPath> path;

  /// Mean bytes of a piece to the GPU; 0 if nothing moves.
  [[nodiscard]] double piece_bytes() const noexcept {
    return gpu_pieces > 0.0 ? traffic.to_gpu_bytes / gpu_pieces : 0.0;
  }
  /// 10^9 bytes a second to the GPU; 0 if nothing moves.
  [[nodiscard]] double to_gpu_gbps() const noexcept {
    return to_gpu_us > 0.0 ? traffic.to_gpu_bytes / to_gpu_us * 1e-3 : 0.0;
  }
};
/// Throws Error(kMissingCapability) if the link does not describe a path that a placement takes.
[[nodiscard]] std::vector<PlacementCost> placement_costs(const sim::RunView& run,
                                                         const sim::LinkSpec& link);
[[nodiscard]] sim::BarChart placement_bytes(const std::vector<PlacementCost>& costs);
[[nodiscard]] sim::BarChart placement_pieces(const std::vector<PlacementCost>& costs);
[[nodiscard]] sim::BarChart placement_times(const std::vector<PlacementCost>& costs);
/// All of it, with rates and the share of the link's data-sheet rate.
[[nodiscard]] sim::Table placement_table(const std::vector<PlacementCost>& costs,
                                         const sim::LinkSpec& link);

/// Bytes of a piece from which on a path moves at least half of what it moves with the largest
/// pieces; nothing if the link does not describe it.
[[nodiscard]] std::optional<double> knee_bytes(const sim::LinkSpec& link, sim::TransferPath path,
                                               sim::Direction direction);
/// Rates to the GPU by size of a piece, with knees, and the placements' own pieces; `shown` stands
/// out.
[[nodiscard]] PointChart link_curves(const sim::LinkSpec& link,
                                     const std::vector<PlacementCost>& costs, sim::Placement shown);
/// "dma 35.9 KiB, batched-dma 28.0 KiB, ...".
[[nodiscard]] std::string knees_text(const sim::LinkSpec& link);

/// Totals of the shown placement: a step of the replayed layers, all steps, what the backend
/// counted, and a step of the costed model.
[[nodiscard]] sim::Table traffic_totals(const sim::RunView& run, sim::Placement placement);

}  // namespace kvsieve::gui
