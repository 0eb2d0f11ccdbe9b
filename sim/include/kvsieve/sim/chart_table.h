#pragma once
// The numbers of a chart as a table, for readers who cannot or will not look at a drawing.

#include <string>
#include <vector>

#include "kvsieve/sim/chart.h"

namespace kvsieve::sim {

enum class Tone { kPlain, kBetter, kWorse };

struct Cell {
  std::string text;    ///< empty: does not apply
  std::string detail;  ///< second, smaller line
  Tone tone = Tone::kPlain;
  int section = 0;  ///< number of the section that the cell leads to; 0 for none
};

struct Column {
  std::string title;
  bool numeric = true;
  std::string origin;  ///< where it differs within a table
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  std::string title;  ///< of a table that stands alone
};

[[nodiscard]] Table table_of(const Chart& chart);

}  // namespace kvsieve::sim
