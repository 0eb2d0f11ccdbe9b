#pragma once
// What is known of every head of a run: one matrix of layers and heads a figure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/colour_range.h"
#include "core/selection.h"
#include "kvsieve/sim/chart.h"
#include "kvsieve/sim/run_view.h"

namespace kvsieve::gui {

/// Names a figure that a run has.
struct HeadFigureName {
  std::string id;       ///< "evicted_mass"; sim::metric_info knows whether more of it is better
  std::string name;     ///< "evicted mass"
  std::string formula;  ///< "1 - F, mean over decode queries"
  ColourCentre centre = ColourCentre::kNone;
  std::string origin;  ///< "captured" or "modelled"
};

struct HeadFigure : HeadFigureName {
  sim::HeatMap map;                       ///< rows are layers in ascending order
  std::vector<std::int64_t> layers;       ///< of the rows
  std::vector<bool> whole;                ///< rows of sliding-window layers, which are left whole
  std::vector<std::int64_t> column_head;  ///< the allocation unit that a column belongs to

  /// The head that a cell stands for.
  [[nodiscard]] HeadId head_at(std::size_t row, std::size_t column) const {
    return {layers[row], column_head[column]};
  }
  [[nodiscard]] const std::optional<double>& value(std::size_t row, std::size_t column) const {
    return map.values[row * map.columns.size() + column];
  }
};

/// The figures that a run has for its heads, in the order in which they are offered.
[[nodiscard]] std::vector<HeadFigureName> head_figure_names(const sim::RunView& run);
/// One of them. Throws Error(kBadInput) as sim::Node::number, Error(kInternal) if the run lacks it.
[[nodiscard]] HeadFigure head_figure(const sim::RunView& run, const std::string& id);

/// Heads of the figure that have a value, layer by layer, each once.
[[nodiscard]] std::vector<HeadId> heads_of(const HeadFigure& figure);

/// Places of the cells from the largest value down, from 1; equal values share one. 0 where there
/// is no value.
struct HeadRanks {
  std::vector<std::size_t> places;  ///< a cell of the map each
  std::size_t count = 0;            ///< cells with a value
};
[[nodiscard]] HeadRanks rank_heads(const sim::HeatMap& map);
/// "3rd largest of 24".
[[nodiscard]] std::string rank_text(std::size_t place, std::size_t count);

enum class HeadDelta { kDifference, kRatio };

/// A figure of one run against the same of another, head by head.
struct HeadComparison {
  HeadFigure figure;                 ///< own - baseline, or own / baseline
  std::vector<std::string> missing;  ///< "layer 4, KV head 1: only in the baseline"
};
[[nodiscard]] HeadComparison compare_heads(const HeadFigure& own, const HeadFigure& baseline,
                                           HeadDelta how);

}  // namespace kvsieve::gui
